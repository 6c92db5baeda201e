-- Sets or removes a typing user in the mirror of a room; forgets those who expired.
--
-- KEYS[1]  hg:typing:{T}:<room>, a sorted set: user -> ms at which the typing ends
-- ARGV[1]  the user
-- ARGV[2]  ms at which the typing ends, or "" to remove
-- Reply:   1
--
-- The key itself lives a second longer than its last entry.
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time[1] .. string.format('%03d', math.floor(tonumber(time[2]) / 1000)))
if ARGV[2] == '' then
    redis.call('ZREM', KEYS[1], ARGV[1])
else
    redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
end
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if last[2] then
    redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last[2]) + 1000))
end
return 1
