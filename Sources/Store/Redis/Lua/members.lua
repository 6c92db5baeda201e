-- Changes the mirror of a room's members: removals first.
--
-- KEYS[1]  hg:members:{T}:<room>, a hash: "<region>/<node>#<boot>/<session>" -> {"user","device","status","note","identity","taken"}
-- KEYS[2]  hg:counts:{T}:<room>, what a large room has instead; removed by "replace"
-- ARGV[1]  "replace" to empty the mirror first, else "change"
-- ARGV[2]  how many fields to remove
-- ARGV[3]+ the fields to remove, then pairs of field and value
-- Reply:   1
if ARGV[1] == 'replace' then
    redis.call('DEL', KEYS[1], KEYS[2])
end
local pairs_start = 3 + tonumber(ARGV[2])
for i = 3, pairs_start - 1 do
    redis.call('HDEL', KEYS[1], ARGV[i])
end
for i = pairs_start, #ARGV, 2 do
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
return 1
