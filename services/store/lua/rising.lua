-- What may be rising, and what was asked for by name.
-- ARGV[1]: now in seconds; ARGV[2]: JSON {window: least count}; ARGV[3]: JSON list of {kind, id} that are told anyway;
-- ARGV[4]: minutes told one by one; ARGV[5]: days whose same hour, and the one
-- before it, are told; ARGV[6]: how many times its usual share of
-- all articles something must have in one of the windows; ARGV[7]: how many of a window are looked at.
-- Returns {volume, {kind, id, counts, …}} where volume and counts are
-- {15m, 1h, 24h, all, recent minutes …, seasonal hours …}.
local now, floors, asked = tonumber(ARGV[1]), cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local recent, seasons, ratio, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local minute, hour = math.floor(now / 60), math.floor(now / 3600)
local windows = {'15m', '1h', '24h'}

-- The counts of one id in buckets of one span.
local function in_buckets(counts, dimension, span, buckets, id)
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

-- Of each of many ids its counts in the windows and of all time; of stories no more than a day is kept.
local function in_windows(dimension, ids)
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

local function whole(dimension, id, counts)
  in_buckets(counts, dimension, 'm', latest_minutes, id)
  if dimension == 'story' then
    for _ = 1, #same_hours do counts[#counts + 1] = 0 end
  else
    in_buckets(counts, dimension, 'h', same_hours, id)
  end
  return counts
end

local volume = whole('total', 'articles', in_windows('total', {'articles'})[1])

-- How much more than its usual share something must have in the last minutes, and how often it must be there.
local sharply, few = 2 * ratio, 3

-- Whether a count is over what is usual, and by so much that chance alone hardly comes to it: four times the standard
-- deviation of a Poisson count, and of one more, so that little things need as much.
local function over(count, times, usual)
  return count >= times * usual and (count - usual) * (count - usual) >= 16 * (usual + 1)
end

-- Whether the counts stand out in some window with as much past as there is in it; what is new does.
local function outstanding(kind, counts, latest)
  for at, window in ipairs(windows) do
    local past, days = counts[4] - counts[at], volume[4] - volume[at]
    if counts[at] >= floors[window] and days > 0 and days >= volume[at] and not (kind == 'story' and window == '24h')
      and over(counts[at], ratio, past / days * volume[at]) then
      return true
    end
  end
  if not latest then return false end
  local past, days = counts[4] - counts[1], volume[4] - volume[1]
  local articles = volume[5] + volume[6]
  return days > 0 and over(latest, sharply, past / days * articles)
end

local told, rows = {}, {}
local function tell(kind, id, counts)
  rows[#rows + 1] = kind
  rows[#rows + 1] = id
  rows[#rows + 1] = whole(kind, id, counts)
end

-- What was met several times in this minute and the last one, and how often.
local function met(kind)
  local sums, often = {}, {}
  for back = 0, 1 do
    for shard = 0, layout.spans[kind].m.shards - 1 do
      local flat = redis.call('HGETALL', bucket_key(kind, 'm', minute - back, shard))
      for at = 1, #flat, 2 do sums[flat[at]] = (sums[flat[at]] or 0) + tonumber(flat[at + 1]) end
    end
  end
  for id, sum in pairs(sums) do if sum >= few then often[id] = sum end end
  return often
end

for _, one in ipairs(asked) do
  told[one[1] .. ':' .. one[2]] = true
  tell(one[1], one[2], in_windows(one[1], {one[2]})[1])
end
for _, kind in ipairs({'entity', 'topic', 'story'}) do
  local often, seen, ids = met(kind), {}, {}
  local function look(id)
    if not seen[id] and not told[kind .. ':' .. id] then
      seen[id] = true
      ids[#ids + 1] = id
    end
  end
  for _, window in ipairs(windows) do
    for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', top_key(kind, window), '+inf', floors[window], 'LIMIT', 0, most)) do
      look(id)
    end
  end
  for id in pairs(often) do look(id) end
  table.sort(ids)
  for at, counts in ipairs(in_windows(kind, ids)) do
    if outstanding(kind, counts, often[ids[at]]) then tell(kind, ids[at], counts) end
  end
end
return {volume, rows}
