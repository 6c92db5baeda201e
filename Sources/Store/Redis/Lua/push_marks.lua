-- The notes of push_mark.lua that have stood for long: whoever wrote them did not come to queue what is owed.
--
-- KEYS[1]  hg:pushes:{pushes}:marks  see push_mark.lua
-- KEYS[2]  hg:pushes:{pushes}:after  see push_mark.lua
-- ARGV[1]  age in ms from which a note counts
-- ARGV[2]  how many at most
-- Reply:   user, position, user, position, ...; the oldest first
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local due = string.format('%.0f', now - tonumber(ARGV[1]))
local reply = {}
for _, user in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', due, 'LIMIT', 0, ARGV[2])) do
    reply[#reply + 1] = user
    reply[#reply + 1] = redis.call('HGET', KEYS[2], user) or '0-0'
end
return reply
