-- Replaces the mirror of a large room's members by one count of sessions for each owner.
--
-- KEYS[1]  hg:members:{T}:<room>, removed
-- KEYS[2]  hg:counts:{T}:<room>, a hash: "<region>/<node>#<boot>" -> sessions
-- ARGV     pairs of field and value
-- Reply:   1
redis.call('DEL', KEYS[1], KEYS[2])
for i = 1, #ARGV, 2 do
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
return 1
