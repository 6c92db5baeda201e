-- Queues notifications, each once for every service, and takes back the note that they were owed.
--
-- KEYS[1]  hg:pushes:{pushes}:marks  see push_mark.lua
-- KEYS[2]  hg:pushes:{pushes}:after  see push_mark.lua
-- KEYS[3]+ for each service four:
--          hg:pushes:{pushes}:<service>:due     a sorted set: id -> ms from which it may be claimed
--          hg:pushes:{pushes}:<service>:added   a sorted set: id -> ms at which it was queued
--          hg:pushes:{pushes}:<service>:claims  a hash: id -> how often it was claimed
--          hg:pushes:{pushes}:<service>:bodies  a hash: id -> what is to be told
-- ARGV[1]  notifications that a service's queue holds at most
-- ARGV[2]  the user whose note is taken back, "" for none
-- ARGV[3]  the position in the note: one with another position speaks of something else and stays
-- ARGV[4]+ for each notification: id, body
-- Reply:   how many were refused because a queue was full
--
-- An id that is queued already is left as it is.
local FIRST_SERVICE, FIRST_ENTRY = 3, 4
local time = redis.call('TIME')
local now = time[1] .. string.format('%03d', math.floor(tonumber(time[2]) / 1000))
local most, refused = tonumber(ARGV[1]), 0
for key = FIRST_SERVICE, #KEYS, 4 do
    local held = redis.call('ZCARD', KEYS[key])
    for i = FIRST_ENTRY, #ARGV, 2 do
        local id = ARGV[i]
        if not redis.call('ZSCORE', KEYS[key], id) then
            if held >= most then
                refused = refused + 1
            else
                held = held + 1
                redis.call('ZADD', KEYS[key], now, id)
                redis.call('ZADD', KEYS[key + 1], now, id)
                redis.call('HSET', KEYS[key + 3], id, ARGV[i + 1])
            end
        end
    end
end
if ARGV[2] ~= '' and redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[3] then
    redis.call('HDEL', KEYS[2], ARGV[2])
    redis.call('ZREM', KEYS[1], ARGV[2])
end
return refused
