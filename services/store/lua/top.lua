-- The ids with the highest counts of a window.
-- KEYS[1] the window's sorted set, KEYS[2] that of its totals, KEYS[3] the state.
-- ARGV[1] dimension, ARGV[2] window, ARGV[3] span, ARGV[4] offset, ARGV[5] limit, ARGV[6] number of today,
-- ARGV[7] 1 to count distinct sources.
-- Returns {articles, duplicates, number of ids, newest bucket that has left, complete since, rebuilding,
-- {id, name, count, sources, …}}.
local dimension, window, span = ARGV[1], ARGV[2], ARGV[3]
local offset, limit, day = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local function distinct(id)
  if dimension == 'story' then
    -- A story lists not all of its sources, but has their number.
    local found = redis.call('GET', TAG .. 'story:' .. id)
    local now = found and tonumber(cjson.decode(found).source_count) or 1
    return math.max(now, redis.call('PFCOUNT', sources_key(id)))
  end
  local keys, few, count = {}, {}, 0
  for back = 0, 1 do
    local found = redis.call('HGET', source_key(day - back, id), id)
    if found == '*' then keys[#keys + 1] = sources_key(id, day - back)
    elseif found then for source in pairs(sources_of(found)) do few[source] = true end end
  end
  for _ in pairs(few) do count = count + 1 end
  return #keys > 0 and math.max(count, redis.call('PFCOUNT', unpack(keys))) or count
end

local with_sources = ARGV[7] == '1' and (dimension == 'entity' or dimension == 'story')
local flat = redis.call('ZREVRANGE', KEYS[1], offset, offset + limit - 1, 'WITHSCORES')
local items = {}
for at = 1, #flat, 2 do
  local id = flat[at]
  items[#items + 1] = id
  items[#items + 1] = label_of(dimension, id, day)
  items[#items + 1] = tonumber(flat[at + 1])
  items[#items + 1] = with_sources and distinct(id) or -1
end
local state = redis.call('HMGET', KEYS[3], window .. ':' .. span, 'complete')
return {
  tonumber(redis.call('ZSCORE', KEYS[2], 'articles') or '0'),
  tonumber(redis.call('ZSCORE', KEYS[2], 'duplicates') or '0'),
  redis.call('ZCARD', KEYS[1]),
  tonumber(state[1] or '-1'), tonumber(state[2] or '-1'), rebuilding(),
  items
}
