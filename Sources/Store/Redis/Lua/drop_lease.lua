-- Gives a node's lease up, if it is still this boot's.
--
-- KEYS[1]  hg:lease:<region>/<node>
-- ARGV[1]  the boot that gives up
-- Reply:   1 if the lease was dropped, else 0
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
return redis.call('DEL', KEYS[1])
