-- Hands out the next boot of a node.
--
-- KEYS[1]  hg:boot, a hash: "<region>/<node>" -> the last boot handed out
-- ARGV[1]  the node
-- ARGV[2]  the least boot wanted: the wall clock in ms, so that boots grow even when the store forgot
-- Reply:   the boot, as text
local last = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '-1')
local boot = string.format('%.0f', math.max(last + 1, tonumber(ARGV[2])))
redis.call('HSET', KEYS[1], ARGV[1], boot)
return boot
