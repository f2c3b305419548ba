-- The story that has a story's articles now: itself, or the last in a row of merges.
-- ARGV[1]: its id; ARGV[2]: today's number; ARGV[3]: how many days to look back.
local id, day = ARGV[1], tonumber(ARGV[2])
local function into(story)
  for back = -1, tonumber(ARGV[3]) do
    local found = redis.call('HMGET', place_key(day - back, story), '>' .. story, story)
    local at, next = string.match(found[1] or '', '^(%d+) (.*)$')
    -- It may have been told of again since.
    if at and tonumber(at) >= tonumber(found[2] or '-1') then return next end
    if found[2] then return end
  end
end
-- No story is merged twice, so there is an end; should a log say otherwise, asking ends nevertheless.
for _ = 1, 100 do
  local next = into(id)
  if not next then break end
  id = next
end
return id
