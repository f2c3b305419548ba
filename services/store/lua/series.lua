-- Counts of one id, summed over each step of some buckets.
-- ARGV[1] dimension, ARGV[2] span, ARGV[3] id, ARGV[4] and ARGV[5] first and last bucket, ARGV[6] buckets a step.
-- Returns {complete since, rebuilding, {count, …}}.
local dimension, span, id = ARGV[1], ARGV[2], ARGV[3]
local first, last, step = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local shard = hash(id) % layout.spans[dimension][span].shards
local complete = redis.call('HGET', STATE, 'complete')
local sums = {}
for bucket = first, last do
  local at = math.floor((bucket - first) / step) + 1
  sums[at] = (sums[at] or 0) + (redis.call('HGET', bucket_key(dimension, span, bucket, shard), id) or 0)
end
return {tonumber(complete or '-1'), rebuilding(), sums}
