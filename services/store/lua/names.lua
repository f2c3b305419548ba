-- Names of many ids. ARGV[1]: JSON list of {dimension, id}; ARGV[2]: number of today. Returns a list of names.
local names = {}
for at, one in ipairs(cjson.decode(ARGV[1])) do names[at] = label_of(one[1], one[2], tonumber(ARGV[2])) end
return names
