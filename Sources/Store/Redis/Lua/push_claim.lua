-- Lends the notifications that are due, the longest due first, to one worker until the lease ends.
--
-- KEYS[1]  hg:pushes:{pushes}:<service>:due     see push_queue.lua
-- KEYS[2]  hg:pushes:{pushes}:<service>:added   see push_queue.lua
-- KEYS[3]  hg:pushes:{pushes}:<service>:claims  see push_queue.lua
-- KEYS[4]  hg:pushes:{pushes}:<service>:bodies  see push_queue.lua
-- ARGV[1]  how many at most
-- ARGV[2]  the lease in ms: what is not settled until then is due again
-- Reply:   for each: id, how often it was claimed with this one, age in ms, body
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local until_ms = string.format('%.0f', now + tonumber(ARGV[2]))
local reply = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])) do
    redis.call('ZADD', KEYS[1], until_ms, id)
    local claims = redis.call('HINCRBY', KEYS[3], id, 1)
    local age = now - tonumber(redis.call('ZSCORE', KEYS[2], id) or now)
    reply[#reply + 1] = id
    reply[#reply + 1] = tostring(claims)
    reply[#reply + 1] = string.format('%.0f', math.max(0, age))
    reply[#reply + 1] = redis.call('HGET', KEYS[4], id) or ''
end
return reply
