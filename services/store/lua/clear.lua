-- Remove all keys of Khabar, atomically: a worker that counts meanwhile must find all of them or none.
-- Returns how many there were.
local cursor, removed = '0', 0
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', TAG .. '*', 'COUNT', 1000)
  cursor = page[1]
  if #page[2] > 0 then removed = removed + redis.call('UNLINK', unpack(page[2])) end
until cursor == '0'
return removed
