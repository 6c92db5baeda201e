-- Says what became of notifications that were claimed.
--
-- KEYS[1]  hg:pushes:{pushes}:<service>:due     see push_queue.lua
-- KEYS[2]  hg:pushes:{pushes}:<service>:added   see push_queue.lua
-- KEYS[3]  hg:pushes:{pushes}:<service>:claims  see push_queue.lua
-- KEYS[4]  hg:pushes:{pushes}:<service>:bodies  see push_queue.lua
-- ARGV     for each: id; the number of the claim; ms from now when it is due again, "" when it is over; the new body, "" for the one it has
-- Reply:   1
--
-- What somebody else has claimed since is not put off: he will say what became of it.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for i = 1, #ARGV, 4 do
    local id, claim, delay, body = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    if delay == '' then
        redis.call('ZREM', KEYS[1], id)
        redis.call('ZREM', KEYS[2], id)
        redis.call('HDEL', KEYS[3], id)
        redis.call('HDEL', KEYS[4], id)
    elseif redis.call('HGET', KEYS[3], id) == claim then
        redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(delay)), id)
        if body ~= '' then
            redis.call('HSET', KEYS[4], id, body)
        end
    end
end
return 1
