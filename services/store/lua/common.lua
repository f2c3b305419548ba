-- Prepended to every script, after a line that defines ``layout`` (services/store/layout.py). Keys that scripts compute
-- are built here, all with one hash tag.
local TAG = '{khabar}:'
local STATE, APPLIED, STORIES, TRENDS = TAG .. 'state', TAG .. 'applied', TAG .. 'stories', TAG .. 'trends'
local FACETS = TAG .. 'facets'

local function hash(id)
  local number = 0
  for at = math.max(1, #id - 5), #id do number = (number * 31 + string.byte(id, at)) % 65521 end
  return number
end

-- Format numbers with %d: Lua would format large ones as 1.7e+09.
local function bucket_key(dimension, span, bucket, shard)
  return string.format('%sn:%s:%s:%d:%d', TAG, dimension, span, bucket, shard)
end

local function top_key(dimension, window) return TAG .. 'top:' .. dimension .. ':' .. window end

local function name_key(era, id) return string.format('%snames:%d:%d', TAG, era, hash(id) % layout.names) end

local function place_key(day, id) return string.format('%splace:%d:%d', TAG, day, hash(id) % layout.places) end

local function source_key(day, id) return string.format('%ssource:%d:%d', TAG, day, hash(id) % layout.sources) end

local function sources_key(id, day)
  return day and string.format('%ssources:%d:%s', TAG, day, id) or TAG .. 'sources:' .. id
end

-- A set of the source digests in a concatenated list.
local function sources_of(few)
  local found = {}
  for source in string.gmatch(few, string.rep('.', layout.source)) do found[source] = true end
  return found
end

-- The newest bucket that has left a window; only newer ones are in it.
local function edge(window, span) return tonumber(redis.call('HGET', STATE, window .. ':' .. span) or '-1') end

local function name_of(id, day)
  local era = math.floor(day / layout.era)
  for back = 0, 2 do
    local name = redis.call('HGET', name_key(era - back, id), id)
    if name then return name end
  end
  return id
end

local function title_of(story)
  local found = redis.call('GET', TAG .. 'story:' .. story)
  return found and cjson.decode(found).title or story
end

local function label_of(dimension, id, day)
  if dimension == 'entity' or dimension == 'topic' then return name_of(id, day) end
  if dimension == 'story' then return title_of(id) end
  if dimension == 'pair' then
    local one, other = string.match(id, '^(.-)%+(.*)$')
    return name_of(one, day) .. ' · ' .. name_of(other, day)
  end
  return id
end
