-- Renews a node's lease, unless a newer boot of the node holds it.
--
-- KEYS[1]  hg:lease:<region>/<node>, a string: the boot
-- ARGV[1]  the boot that renews
-- ARGV[2]  time to live in ms
-- Reply:   1 if the lease is the caller's, else 0
local holder = redis.call('GET', KEYS[1])
if holder and tonumber(holder) > tonumber(ARGV[1]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
