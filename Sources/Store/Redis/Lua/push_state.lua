-- How much waits in the queue of a service.
--
-- KEYS[1]  hg:pushes:{pushes}:<service>:added  see push_queue.lua
-- Reply:   {number of notifications, age of the oldest in ms}
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if not oldest then
    return {'0', '0'}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return {tostring(redis.call('ZCARD', KEYS[1])), string.format('%.0f', math.max(0, now - tonumber(oldest)))}
