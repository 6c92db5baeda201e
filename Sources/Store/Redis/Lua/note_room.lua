-- Remembers that a user has something of hers in a room.
--
-- KEYS[1]  hg:rooms:{T}:@<user>, a sorted set: room -> 0, so that it can be read by name in pages
-- ARGV[1]  the room
-- ARGV[2]  how many rooms are remembered at most
-- Reply:   1 if the room is remembered, 0 if there are too many
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    return 1
end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
    return 0
end
redis.call('ZADD', KEYS[1], 0, ARGV[1])
return 1
