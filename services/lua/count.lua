-- Apply a batch of the log to the store, together with the offset it reflects, all or nothing.
-- KEYS[1] is the hash of applied offsets; ARGV[1] its field, the log. The last two of KEYS are the list of
-- stories and the hash of names.
-- ARGV[2]: JSON list of events in order, each {offset, commands} where
--   commands = list of {command, key index, argument, …}; key indices count from 1 in KEYS.
-- ARGV[3]: JSON list, seconds to live for each of KEYS but the last two (0: for ever).
-- ARGV[4]: JSON list of id, name, id, name, …; the first name an id ever got stays.
-- ARGV[5]: stories with a lower score are forgotten.
-- Events at or below the stored offset were applied before and are skipped. Returns how many were applied.
local applied = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '-1')
local count = 0
for _, event in ipairs(cjson.decode(ARGV[2])) do
  local offset = tonumber(event[1])
  if offset > applied then
    for _, command in ipairs(event[2]) do
      redis.call(command[1], KEYS[command[2]], unpack(command, 3))
    end
    applied = offset
    count = count + 1
  end
end
if count > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', applied))
  redis.call('ZREMRANGEBYSCORE', KEYS[#KEYS - 1], '-inf', '(' .. ARGV[5])
  local names = cjson.decode(ARGV[4])
  for at = 1, #names, 2 do redis.call('HSETNX', KEYS[#KEYS], names[at], names[at + 1]) end
  for index, seconds in ipairs(cjson.decode(ARGV[3])) do
    if seconds > 0 then redis.call('EXPIRE', KEYS[index], seconds) end
  end
end
return count
