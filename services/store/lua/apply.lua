-- Apply a segment of the log and its last offset to the store, atomically.
-- ARGV[1]: the log; ARGV[2], ARGV[3]: first and last offset of the segment; ARGV[4]: the log no longer has the records
-- between this offset and the first one (-2: it has all).
-- ARGV[5]: JSON of the aggregated segment:
--   articles       the number of articles
--   counts         list of {minute, {dimension: {id, n, id, n, …}}}
--   first_named    {dimension: list of {minute, field of the budgets, {id, …}}}: ids for which there are budgets, each
--                  where the segment first names it on its day
--   names          {id, name, …} of entities and topics
--   sources        list of {day, {entity, source, …}}, without repeated pairs
--   places         list of {day, {field, value, …}}
--   stories        list of {id, JSON, score or null if it was merged, {source, …}, {FACET:VALUE, …}}
--   trends         list of {field, JSON, phase}
--   expire_before  trends that ended before this time (ms since 1970) are removed
--   sample         {offset, timestamp} of the last record, if it is known
--   since          when the first article of the segment arrived (ms since 1970), if there is one
-- Returns {'applied', last, 0, 0}. Otherwise nothing was changed: {'seen', applied} when some or all of the segment was
-- applied before, {'gap', applied} when records before it were not applied, {'no_windows', applied} when the store is
-- empty, so that its windows have no end yet, {'crowded', applied} when a budget of new ids is exceeded, and the segment
-- must be split until it has one article: then {'applied', last, sources, entities} has how many exceeded a budget.
-- A store of another layout or log is emptied first. ARGV[6]: now (ms since 1970).
local log, first, last = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
adopt(log, ARGV[6])
local applied = tonumber(redis.call('HGET', APPLIED, log) or '-1')
if first <= applied then return {'seen', applied} end
if first > applied + 1 and tonumber(ARGV[4]) ~= applied then return {'gap', applied} end
if not has_windows() then return {'no_windows', applied} end

local batch = cjson.decode(ARGV[5])
local names = {}
for at = 1, #batch.names, 2 do names[batch.names[at]] = batch.names[at + 1] end

local call = redis.call

-- Call after a field was added: sets the expiry if the key is new too.
local function expire_if_new(key, expires)
  if call('HLEN', key) == 1 then call('EXPIREAT', key, expires) end
end

-- By key and field: how much of the budgets is used after this segment.
local used = {}
local function used_in(span, minute, field)
  local key = string.format('%snew:%s:%d', TAG, span, math.floor(minute * 60 / layout.seconds[span]))
  local fields = used[key] or {}
  used[key] = fields
  fields[field] = fields[field] or tonumber(call('HGET', key, field) or '0')
  return fields
end

-- By dimension: the ids that exceed a budget, and their number. An id that its day has already needs no budget, so
-- the result depends only on the records of that day before this one. In a segment of several articles an id that
-- exceeds a budget where it is first named may be within that of another source: such a segment is split.
local over, overs = {source = {}, entity = {}}, {source = 0, entity = 0}
local function use_budgets(dimension, minute, field, ids)
  local day, shards, budgets = math.floor(minute / 1440), layout.spans[dimension].d.shards, nil
  for _, id in ipairs(ids) do
    if call('HEXISTS', bucket_key(dimension, 'd', day, hash(id) % shards), id) == 0 then
      if not budgets then
        budgets = {}
        for span, most in pairs(layout.new[dimension]) do budgets[#budgets + 1] = {used_in(span, minute, field), most} end
      end
      local within = true
      for _, budget in ipairs(budgets) do within = within and budget[1][field] < budget[2] end
      if within then
        for _, budget in ipairs(budgets) do budget[1][field] = budget[1][field] + 1 end
      else
        over[dimension][id] = true
        overs[dimension] = overs[dimension] + 1
      end
    end
  end
end

for _, named in ipairs(batch.first_named.source) do use_budgets('source', unpack(named)) end
for _, named in ipairs(batch.first_named.entity) do
  -- Sources that are counted as one have one budget.
  use_budgets('entity', named[1], overs.source > 0 and layout.other or named[2], named[3])
end

-- The pairs of a flat list without ids that exceed the budget; instead of them all, ``other`` with this value.
local function within_budget(flat, ids, value)
  local kept, replaced = {}, false
  for at = 1, #flat, 2 do
    if ids[flat[at]] then
      replaced = true
    else
      kept[#kept + 1] = flat[at]
      kept[#kept + 1] = flat[at + 1]
    end
  end
  if replaced then
    kept[#kept + 1] = layout.other
    kept[#kept + 1] = value
  end
  return kept
end

if overs.source + overs.entity > 0 then
  if batch.articles > 1 then return {'crowded', applied} end
  local counts = batch.counts[1][2]
  counts.source = within_budget(counts.source, over.source, 1)
  if counts.entity then counts.entity = within_budget(counts.entity, over.entity, 1) end
  local pairs_within = {}
  for at = 1, #(counts.pair or {}), 2 do
    local one, another = string.match(counts.pair[at], '^(.-)%+(.*)$')
    if not over.entity[one] and not over.entity[another] then
      pairs_within[#pairs_within + 1] = counts.pair[at]
      pairs_within[#pairs_within + 1] = 1
    end
  end
  counts.pair = pairs_within
  for _, named in ipairs(batch.sources) do named[2] = within_budget(named[2], over.entity, named[2][2]) end
end
for key, fields in pairs(used) do
  for field, number in pairs(fields) do call('HSET', key, field, number) end
  call('EXPIRE', key, layout.kept)
end

local edges, changed_windows = {}, {}
local function in_window(window, span, bucket)
  local which = window .. ':' .. span
  edges[which] = edges[which] or edge(window, span)
  return bucket > edges[which]
end

local function store_name(id, number, bucket)
  local known = names[id]
  if not known then return end
  local era = math.floor(bucket / layout.era)
  local key = string.format('%snames:%d:%d', TAG, era, number % layout.names)
  if call('HSETNX', key, id, known) == 1 then
    expire_if_new(key, (era + 3) * layout.era * layout.seconds.d + layout.kept)
  end
end

-- Increment the scores of distinct ids: two commands per thousand, where ZINCRBY would need one for each.
local function increment(key, ids, by)
  for from = 1, #ids, 1000 do
    local to = math.min(#ids, from + 999)
    local scores, changes = call('ZMSCORE', key, unpack(ids, from, to)), {}
    for at = from, to do
      changes[#changes + 1] = (tonumber(scores[at - from + 1] or 0)) + by[at]
      changes[#changes + 1] = ids[at]
    end
    call('ZADD', key, unpack(changes))
  end
end

-- Add one minute's counts of one dimension to the buckets of one span and to the windows over them.
local function count(dimension, span, spec, minute, flat, numbers)
  local length = layout.seconds[span]
  local bucket = math.floor(minute * 60 / length)
  local views = {}
  for _, view in ipairs(spec.views) do
    if in_window(view[1], span, bucket) then
      local key = top_key(dimension, view[1])
      views[#views + 1] = {key = key, min_count = view[3], ids = {}, by = {}}
      changed_windows[key] = true
    end
  end
  -- A bucket that has left all windows was dropped; nothing would drop it again.
  if #views == 0 and spec.dropped then return end
  local expires = (bucket + 1 + spec.kept) * length
  local prefix, shards, keys = string.format('%sn:%s:%s:%d:', TAG, dimension, span, bucket), spec.shards, {}
  for at = 1, #flat, 2 do
    local id, n, number = flat[at], flat[at + 1], numbers[at]
    local shard = number % shards
    local key = keys[shard]
    if not key then
      key = prefix .. shard
      keys[shard] = key
    end
    local sum = call('HINCRBY', key, id, n)
    if sum == n then
      expire_if_new(key, expires)
      if span == 'd' then store_name(id, number, bucket) end
    end
    for _, view in ipairs(views) do
      local min_count, ids = view.min_count, view.ids
      if sum >= min_count then
        ids[#ids + 1] = id
        -- A count that reaches the minimum enters the window as a whole.
        view.by[#ids] = (min_count > 1 and sum - n < min_count) and sum or n
      end
    end
  end
  for _, view in ipairs(views) do increment(view.key, view.ids, view.by) end
end

for _, counted in ipairs(batch.counts) do
  for dimension, flat in pairs(counted[2]) do
    local numbers = {}
    for at = 1, #flat, 2 do numbers[at] = hash(flat[at]) end
    for span, spec in pairs(layout.spans[dimension]) do count(dimension, span, spec, counted[1], flat, numbers) end
  end
end
for key in pairs(changed_windows) do call('EXPIRE', key, 31 * layout.seconds.d) end

for _, named in ipairs(batch.sources) do
  local day, flat = named[1], named[2]
  local expires = (day + 3) * layout.seconds.d
  for at = 1, #flat, 2 do
    local id, source = flat[at], flat[at + 1]
    local key = source_key(day, id)
    local few = call('HGET', key, id)
    if not few then
      call('HSET', key, id, source)
      expire_if_new(key, expires)
    elseif few == '*' then
      call('PFADD', sources_key(id, day), source)
    else
      local known = sources_of(few)
      if not known[source] then
        if #few < layout.few * #source then
          call('HSET', key, id, few .. source)
        else
          for one in pairs(known) do call('PFADD', sources_key(id, day), one) end
          call('PFADD', sources_key(id, day), source)
          call('EXPIREAT', sources_key(id, day), expires)
          call('HSET', key, id, '*')
        end
      end
    end
  end
end

for _, placed in ipairs(batch.places) do
  local day, flat = placed[1], placed[2]
  local expires = (day + 1) * layout.seconds.d + layout.kept
  for at = 1, #flat, 2 do
    -- The fields =ID and >ID are in the same hash as the field ID.
    local key = place_key(day, string.match(flat[at], '^[=>]?(.*)$'))
    if call('HSET', key, flat[at], flat[at + 1]) == 1 then expire_if_new(key, expires) end
  end
end

local function stories_with(facet) return STORIES .. ':' .. facet end

-- List a story under these facets and no others.
local function list_under(id, score, facets)
  local now = {}
  for _, facet in ipairs(facets) do now[facet] = true end
  for facet in string.gmatch(call('HGET', FACETS, id) or '', '[^\n]+') do
    if not now[facet] then call('ZREM', stories_with(facet), id) end
  end
  for facet in pairs(now) do
    call('ZADD', stories_with(facet), score, id)
    call('EXPIRE', stories_with(facet), layout.kept)
  end
  if #facets > 0 then call('HSET', FACETS, id, table.concat(facets, '\n')) else call('HDEL', FACETS, id) end
end

for _, story in ipairs(batch.stories) do
  local id, score, sources = story[1], story[3], story[4]
  local key = sources_key(id)
  if #sources > 1 or call('EXISTS', key) == 1 then
    if #sources > 0 then call('PFADD', key, unpack(sources)) end
    call('EXPIRE', key, layout.kept)
  end
  call('SET', TAG .. 'story:' .. id, story[2], 'EX', layout.kept)
  if score ~= cjson.null then
    call('ZADD', STORIES, score, id)
    list_under(id, score, story[5])
  else
    call('ZREM', STORIES, id)
    list_under(id, 0, {})
  end
end
if #batch.stories > 0 then
  local newest = call('ZRANGE', STORIES, -1, -1, 'WITHSCORES')[2]
  if newest then
    local too_old = string.format('(%d', newest - layout.kept * 1000)
    for _, id in ipairs(call('ZRANGEBYSCORE', STORIES, '-inf', too_old)) do list_under(id, 0, {}) end
    call('ZREMRANGEBYSCORE', STORIES, '-inf', too_old)
  end
  local over = call('ZCARD', STORIES) - layout.stories
  if over > 0 then
    local oldest = call('ZPOPMIN', STORIES, over)
    for at = 1, #oldest, 2 do
      list_under(oldest[at], 0, {})
      call('DEL', TAG .. 'story:' .. oldest[at])
    end
  end
  call('EXPIRE', STORIES, layout.kept)
  call('EXPIRE', FACETS, layout.kept)
end

if #batch.trends > 0 then
  for _, trend in ipairs(batch.trends) do call('HSET', TRENDS, trend[1], trend[2]) end
  local all = call('HGETALL', TRENDS)
  for at = 1, #all, 2 do
    local trend = cjson.decode(all[at + 1])
    if trend.phase == 'end' and trend.at_ms < batch.expire_before then call('HDEL', TRENDS, all[at]) end
  end
  call('EXPIRE', TRENDS, layout.kept)
end

call('HSET', APPLIED, log, string.format('%d', last))
call('EXPIRE', APPLIED, 40 * layout.seconds.d)
-- All is counted from the first article after the missing records on; until there is one, from now on.
if first > applied + 1 then call('HSET', STATE, 'unknown_past', 1, 'complete', ARGV[6]) end
if batch.since ~= cjson.null and call('HDEL', STATE, 'unknown_past') == 1 then
  local since = math.max(batch.since, tonumber(call('HGET', STATE, 'not_before') or 0))
  call('HSET', STATE, 'complete', string.format('%d', since))
end
if batch.sample ~= cjson.null then
  call('HSET', STATE, 'sample', string.format('%d:%d', batch.sample[1], batch.sample[2]))
end
call('EXPIRE', STATE, 40 * layout.seconds.d)
return {'applied', last, overs.source, overs.entity}
