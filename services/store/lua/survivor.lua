-- The story that has a story's articles now: itself, or the end of its chain of merges.
-- ARGV[1]: its id; ARGV[2]: number of today; ARGV[3]: how many days to search.
local id, day = ARGV[1], tonumber(ARGV[2])
local function merged_into(story)
  for back = -1, tonumber(ARGV[3]) do
    local found = redis.call('HMGET', place_key(day - back, story), '>' .. story, story)
    local at, next = string.match(found[1] or '', '^(%d+) (.*)$')
    -- A later record of the story means that it exists again.
    if at and tonumber(at) >= tonumber(found[2] or '-1') then return next end
    if found[2] then return end
  end
end
-- The limit ends a circle of merges, which only an inconsistent log can contain.
for _ = 1, 100 do
  local next = merged_into(id)
  if not next then break end
  id = next
end
return id
