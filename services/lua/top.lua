-- Sum hashes of counters field by field and return the largest.
-- KEYS: first ARGV[1] hashes of totals (fields articles, duplicates), then the hashes to sum, last the hash of names.
-- ARGV[2]: how many fields to return. Returns {articles, duplicates, {field, name, count, ...}}; equal counts
-- come in the order of their fields, so that the answer is the same every time.
local totals, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local articles, duplicates, sums = 0, 0, {}
for index = 1, totals do
  local pair = redis.call('HMGET', KEYS[index], 'articles', 'duplicates')
  articles = articles + tonumber(pair[1] or '0')
  duplicates = duplicates + tonumber(pair[2] or '0')
end
for index = totals + 1, #KEYS - 1 do
  local flat = redis.call('HGETALL', KEYS[index])
  for at = 1, #flat, 2 do sums[flat[at]] = (sums[flat[at]] or 0) + tonumber(flat[at + 1]) end
end
local fields = {}
for field in pairs(sums) do fields[#fields + 1] = field end
table.sort(fields, function(a, b) if sums[a] ~= sums[b] then return sums[a] > sums[b] end return a < b end)
local items = {}
for at = 1, math.min(limit, #fields) do
  items[#items + 1] = fields[at]
  items[#items + 1] = redis.call('HGET', KEYS[#KEYS], fields[at]) or fields[at]
  items[#items + 1] = sums[fields[at]]
end
return {articles, duplicates, items}
