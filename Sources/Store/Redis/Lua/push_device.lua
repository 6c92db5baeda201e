-- Keeps, changes or forgets where notifications for one device of a user go.
--
-- KEYS[1]  hg:push:{T}:@<user>, a hash: device -> {"service","token","updatedAt"}
-- ARGV[1]  the device
-- ARGV[2]  its value, "" to forget it
-- ARGV[3]  devices that a user may have; to forget: the token that is meant, "" for any
-- Reply:   1, or 0 when the user has that many devices
if ARGV[2] ~= '' then
    if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
        return 0
    end
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    return 1
end
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored and (ARGV[3] == '' or cjson.decode(stored).token == ARGV[3]) then
    redis.call('HDEL', KEYS[1], ARGV[1])
end
return 1
