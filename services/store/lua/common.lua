-- Prepended to every script, after a line that defines ``layout`` (services/store/layout.py). Keys that scripts compute
-- are built here, all with one hash tag.
local TAG = '{khabar}:'
local STATE, APPLIED, STORIES, TRENDS = TAG .. 'state', TAG .. 'applied', TAG .. 'stories', TAG .. 'trends'
local FACETS = TAG .. 'facets'

-- Remove all keys but the webhooks'. Since when all is counted stays: no rebuild can count what came before that.
local function clear()
  local kept = redis.call('HMGET', STATE, 'complete', 'not_before')
  local cursor, removed = '0', 0
  repeat
    local page = redis.call('SCAN', cursor, 'MATCH', TAG .. '*', 'COUNT', 1000)
    cursor = page[1]
    if #page[2] > 0 then removed = removed + redis.call('UNLINK', unpack(page[2])) end
  until cursor == '0'
  if kept[1] then redis.call('HSET', STATE, 'complete', kept[1]) end
  if kept[2] then redis.call('HSET', STATE, 'not_before', kept[2]) end
  return removed
end

-- Whether the windows have ends: until then nothing can be counted.
local function has_windows() return redis.call('HEXISTS', STATE, '15m:m') == 1 end

local function other_layout() return has_windows() and redis.call('HGET', STATE, 'layout') ~= layout_digest end

-- 1 while not all is counted, or what is stored has another layout; otherwise 0.
local function rebuilding()
  return (redis.call('HEXISTS', STATE, 'rebuilding') == 1 or other_layout()) and 1 or 0
end

-- Empty a store that was written in another layout, or that reflects another log than ``log`` (if given); ``replaced``:
-- in any case, and nothing before now will ever be complete: what the log has lost was counted and cannot be counted
-- again. Returns why, or false. ``now``: ms since 1970.
local function adopt(log, now, replaced)
  local logs = log and redis.call('HLEN', APPLIED) or 0
  local cause = false
  if replaced or logs > 1 or (logs == 1 and redis.call('HEXISTS', APPLIED, log) == 0) then
    cause = 'log'
  elseif other_layout() then
    cause = 'layout'
  end
  if not cause then return false end
  clear()
  redis.call('HSET', STATE, 'rebuilding', 1)
  if replaced then redis.call('HSET', STATE, 'not_before', now) end
  if cause == 'log' then redis.call('HSET', STATE, 'unknown_past', 1, 'complete', now) end
  return cause
end

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
