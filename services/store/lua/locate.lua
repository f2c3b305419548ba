-- The location of an article or a story. ARGV[1]: its id; ARGV[2]: number of today; ARGV[3]: how many days to search.
-- Returns {offset or false, the story that a moved article is in or false}; the newest day is searched first.
-- A move is stored as offset and story: a record of the article with a higher offset overrides it.
local id, day = ARGV[1], tonumber(ARGV[2])
local moved, moved_at = false, -1
for back = -1, tonumber(ARGV[3]) do
  local found = redis.call('HMGET', place_key(day - back, id), id, '=' .. id)
  if found[2] and not moved then
    local at, story = string.match(found[2], '^(%d+) (.*)$')
    moved, moved_at = story, tonumber(at)
  end
  if found[1] then return {found[1], tonumber(found[1]) < moved_at and moved} end
end
return {false, false}
