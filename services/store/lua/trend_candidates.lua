-- The ids that may be trending, and the active trends.
-- ARGV[1]: now in seconds; ARGV[2]: JSON {window: minimum count}; ARGV[3]: JSON list of {kind, id} of the active
-- trends, which are always returned; ARGV[4]: number of recent minutes; ARGV[5]: number of days whose same hour, and
-- the hour before it, are returned; ARGV[6]: how many times its usual share of all articles an id must have in one of the
-- windows; ARGV[7]: how many ids of a window are examined.
-- Returns {volume, {kind, id, counts, …}} where volume and counts are
-- {15m, 1h, 24h, all, recent minutes …, seasonal hours …}.
local now, floors, active = tonumber(ARGV[1]), cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local recent, seasons, ratio, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local minute, hour = math.floor(now / 60), math.floor(now / 3600)
local windows = {'15m', '1h', '24h'}

-- Append the counts of one id in buckets of one span.
local function append_buckets(counts, dimension, span, buckets, id)
  local shard = hash(id) % layout.spans[dimension][span].shards
  for _, bucket in ipairs(buckets) do
    counts[#counts + 1] = tonumber(redis.call('HGET', bucket_key(dimension, span, bucket, shard), id) or '0')
  end
end

local latest_minutes, same_hours = {}, {}
for back = 0, recent - 1 do latest_minutes[back + 1] = minute - back end
for ago = 0, 1 do
  for back = 1, seasons do same_hours[#same_hours + 1] = hour - ago - 24 * back end
end

-- For each of many ids: its counts in the windows and in all; for stories, only a day is kept.
local function window_counts(dimension, ids)
  local rows = {}
  for at = 1, #ids, 1000 do
    local some = {unpack(ids, at, math.min(#ids, at + 999))}
    for column, window in ipairs({'15m', '1h', '24h', dimension == 'story' and '24h' or 'all'}) do
      for row, score in ipairs(redis.call('ZMSCORE', top_key(dimension, window), unpack(some))) do
        rows[at + row - 1] = rows[at + row - 1] or {}
        rows[at + row - 1][column] = tonumber(score or '0')
      end
    end
  end
  return rows
end

local function append_all_buckets(dimension, id, counts)
  append_buckets(counts, dimension, 'm', latest_minutes, id)
  if dimension == 'story' then
    for _ = 1, #same_hours do counts[#counts + 1] = 0 end
  else
    append_buckets(counts, dimension, 'h', same_hours, id)
  end
  return counts
end

local volume = append_all_buckets('total', 'articles', window_counts('total', {'articles'})[1])

-- The ratio to the usual share, and the minimum count, in the last two minutes.
local latest_ratio, latest_min_count = 2 * ratio, 3

-- Whether a count exceeds the expected one by the ratio, and by so much that chance is unlikely: by four standard
-- deviations of a Poisson count with the expected value plus 1, so that small expected values need more.
local function exceeds(count, times, expected)
  return count >= times * expected and (count - expected) * (count - expected) >= 16 * (expected + 1)
end

-- Whether the counts are exceptional in a window that has at least as many articles before it as in it. New ids are.
local function exceptional(kind, counts, latest)
  for at, window in ipairs(windows) do
    local past, past_volume = counts[4] - counts[at], volume[4] - volume[at]
    if counts[at] >= floors[window] and past_volume > 0 and past_volume >= volume[at]
      and not (kind == 'story' and window == '24h')
      and exceeds(counts[at], ratio, past / past_volume * volume[at]) then
      return true
    end
  end
  if not latest then return false end
  local past, past_volume = counts[4] - counts[1], volume[4] - volume[1]
  local articles = volume[5] + volume[6]
  return past_volume > 0 and exceeds(latest, latest_ratio, past / past_volume * articles)
end

local returned, rows = {}, {}
local function append(kind, id, counts)
  rows[#rows + 1] = kind
  rows[#rows + 1] = id
  rows[#rows + 1] = append_all_buckets(kind, id, counts)
end

-- The ids with the minimum count in this minute and the last one, and their counts.
local function latest_counts(kind)
  local sums, often = {}, {}
  for back = 0, 1 do
    for shard = 0, layout.spans[kind].m.shards - 1 do
      local flat = redis.call('HGETALL', bucket_key(kind, 'm', minute - back, shard))
      for at = 1, #flat, 2 do sums[flat[at]] = (sums[flat[at]] or 0) + tonumber(flat[at + 1]) end
    end
  end
  for id, sum in pairs(sums) do if sum >= latest_min_count then often[id] = sum end end
  return often
end

for _, one in ipairs(active) do
  returned[one[1] .. ':' .. one[2]] = true
  append(one[1], one[2], window_counts(one[1], {one[2]})[1])
end
for _, kind in ipairs({'entity', 'topic', 'story'}) do
  local often, seen, ids = latest_counts(kind), {}, {}
  local function examine(id)
    -- ``other`` is not one thing that could trend.
    if id ~= layout.other and not seen[id] and not returned[kind .. ':' .. id] then
      seen[id] = true
      ids[#ids + 1] = id
    end
  end
  for _, window in ipairs(windows) do
    for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', top_key(kind, window), '+inf', floors[window], 'LIMIT', 0, most)) do
      examine(id)
    end
  end
  for id in pairs(often) do examine(id) end
  table.sort(ids)
  for at, counts in ipairs(window_counts(kind, ids)) do
    if exceptional(kind, counts, often[ids[at]]) then append(kind, ids[at], counts) end
  end
end
return {volume, rows}
