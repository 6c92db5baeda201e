-- Says which incarnation of the store this is.
--
-- KEYS[1]  hg:store, a hash: incarnation, epoch, run
-- ARGV[1]  the id to take if the store has none
-- ARGV[2]  the highest epoch of this region that the caller has seen, 0 for none
-- ARGV[3]  run id of the server, as INFO gives it
-- Reply:   {incarnation, epoch}
--
-- The epoch grows when the store is new, when the server was restarted (what it wrote last may be lost) and
-- when somebody has seen a higher one (the store was set back to an older copy).
local stored = redis.call('HMGET', KEYS[1], 'incarnation', 'epoch', 'run')
local incarnation = stored[1] or ARGV[1]
local epoch = tonumber(stored[2] or '0')
local known = tonumber(ARGV[2])
if stored[1] and stored[3] == ARGV[3] and known <= epoch then
    return {incarnation, stored[2]}
end
local grown = string.format('%.0f', math.max(epoch, known) + 1)
redis.call('HSET', KEYS[1], 'incarnation', incarnation, 'epoch', grown, 'run', ARGV[3])
return {incarnation, grown}
