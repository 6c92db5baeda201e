-- Notes that notifications for an inbox may be owed and not queued yet.
--
-- KEYS[1]  hg:pushes:{pushes}:marks, a sorted set: user -> ms of the first note
-- KEYS[2]  hg:pushes:{pushes}:after, a hash: user -> the position after which messages may be owed a notification
-- ARGV[1]  the user
-- ARGV[2]  the position, "epoch-seq"
-- Reply:   1
--
-- A note that is there already speaks of older messages and stays.
local time = redis.call('TIME')
local now = time[1] .. string.format('%03d', math.floor(tonumber(time[2]) / 1000))
if redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2]) == 1 then
    redis.call('ZADD', KEYS[1], now, ARGV[1])
end
return 1
