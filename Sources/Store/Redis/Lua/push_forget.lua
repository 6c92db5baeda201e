-- Removes what is queued for a user, a part of the queue in each call.
--
-- KEYS[1]  hg:pushes:{pushes}:marks              see push_mark.lua
-- KEYS[2]  hg:pushes:{pushes}:after              see push_mark.lua
-- KEYS[3]  hg:pushes:{pushes}:<service>:due      see push_queue.lua
-- KEYS[4]  hg:pushes:{pushes}:<service>:added    see push_queue.lua
-- KEYS[5]  hg:pushes:{pushes}:<service>:claims   see push_queue.lua
-- KEYS[6]  hg:pushes:{pushes}:<service>:bodies   see push_queue.lua
-- ARGV[1]  the user
-- ARGV[2]  where to go on: "0" at first, then what the last call has answered
-- ARGV[3]  how many notifications to look at, about
-- Reply:   where to go on, "0" when all were looked at
--
-- An id is "<user>/<epoch>-<seq>/<reason>". A user's name may hold a slash, so the whole of it is compared.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
local page = redis.call('ZSCAN', KEYS[4], ARGV[2], 'COUNT', ARGV[3])
for i = 1, #page[2], 2 do
    local id = page[2][i]
    if string.match(id, '^(.*)/%d+%-%d+/[^/]*$') == ARGV[1] then
        redis.call('ZREM', KEYS[3], id)
        redis.call('ZREM', KEYS[4], id)
        redis.call('HDEL', KEYS[5], id)
        redis.call('HDEL', KEYS[6], id)
    end
end
return page[1]
