-- Move the end of all windows to a time: subtract the buckets that have left them.
-- ARGV[1]: the time in seconds; ARGV[2]: how many buckets to subtract at most.
-- Returns how many are still to be subtracted; a window that all buckets have left is emptied at once.
local now, most = tonumber(ARGV[1]), tonumber(ARGV[2])
adopt(false, 0)  -- buckets of another layout cannot be subtracted

-- By window and span: the dimensions that have this window.
local edges = {}
for dimension, spans in pairs(layout.spans) do
  for span, spec in pairs(spans) do
    local longest = 0
    for _, view in ipairs(spec.views) do longest = math.max(longest, view[2]) end
    for _, view in ipairs(spec.views) do
      local which = view[1] .. ':' .. span
      local found = edges[which] or {window = view[1], span = span, buckets = view[2], dimensions = {}}
      found.dimensions[#found.dimensions + 1] =
        {dimension, spec.shards, view[3], spec.dropped and view[2] == longest}
      edges[which] = found
    end
  end
end

local function subtract(window, span, bucket, of)
  local dimension, shards, min_count, drops = of[1], of[2], of[3], of[4]
  local top = top_key(dimension, window)
  local changed = false
  for shard = 0, shards - 1 do
    local key = bucket_key(dimension, span, bucket, shard)
    local flat = redis.call('HGETALL', key)
    for at = 1, #flat, 2 do
      local count = tonumber(flat[at + 1])
      if count >= min_count then
        redis.call('ZINCRBY', top, -count, flat[at])
        changed = true
      end
    end
    if drops and #flat > 0 then redis.call('DEL', key) end
  end
  if changed then redis.call('ZREMRANGEBYSCORE', top, '-inf', 0) end
end

local left = 0
for which, found in pairs(edges) do
  local target = math.floor(now / layout.seconds[found.span]) - found.buckets
  local at = tonumber(redis.call('HGET', STATE, which) or '-1')
  if at < target then
    if at < 0 then
      at = target  -- the store is empty: nothing was added yet
    elseif target - at >= found.buckets then
      for _, of in ipairs(found.dimensions) do redis.call('UNLINK', top_key(of[1], found.window)) end
      at = target
    end
    while at < target and most > 0 do
      at = at + 1
      most = most - 1
      for _, of in ipairs(found.dimensions) do subtract(found.window, found.span, at, of) end
    end
    left = left + target - at
    redis.call('HSET', STATE, which, string.format('%d', at))
  end
end
redis.call('HSET', STATE, 'layout', layout_digest)
redis.call('EXPIRE', STATE, 40 * layout.seconds.d)
return left
