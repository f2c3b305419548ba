-- Remove every key of Khabar, all at once: a worker that counts meanwhile must find all of it or nothing.
-- Returns how many there were.
local cursor, removed = '0', 0
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', TAG .. '*', 'COUNT', 1000)
  cursor = page[1]
  if #page[2] > 0 then removed = removed + redis.call('UNLINK', unpack(page[2])) end
until cursor == '0'
return removed
