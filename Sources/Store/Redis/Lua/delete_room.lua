-- Deletes what a room has kept, but for what must stay so that no position is ever handed out twice.
--
-- KEYS[1]  hg:meta:{T}:<room>    see open.lua
-- KEYS[2]  hg:log:{T}:<room>     see open.lua
-- KEYS[3]  hg:epochs:{T}:<room>  see open.lua
-- KEYS[4]+ the room's other keys, which go
-- ARGV[1]  how many epochs the table keeps
-- Reply:   the last position handed out, "epoch-seq", or nil if there was no log
--
-- The log goes on in a new epoch, seq where it was.
local last_id = last_stream_id(KEYS[2])
redis.call('UNLINK', KEYS[2])
for i = 4, #KEYS do
    redis.call('UNLINK', KEYS[i])
end

local meta = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'head')
if not meta[1] and not last_id then
    return nil
end
local head_epoch, head_seq = pair(meta[3] or '0-0')
local stream_epoch, stream_seq = pair(last_id or '0-0')
if above(stream_epoch, stream_seq, head_epoch, head_seq) then
    head_epoch, head_seq = stream_epoch, stream_seq
end
local seq = math.max(tonumber(meta[2] or '0'), head_seq)
local epoch = math.max(tonumber(meta[1] or '0'), head_epoch) + 1
local range = meta[1] and redis.call('HGET', KEYS[3], meta[1])
if range then
    redis.call('HSET', KEYS[3], meta[1], string.match(range, '^%d+-') .. text(seq))
end
redis.call('HSET', KEYS[3], text(epoch), text(seq + 1) .. '-')
forget_oldest_epochs(KEYS[3], tonumber(ARGV[1]))
local head = text(head_epoch) .. '-' .. text(head_seq)
redis.call('HSET', KEYS[1], 'epoch', text(epoch), 'seq', text(seq), 'head', head, 'deleted', head)
redis.call('HDEL', KEYS[1], 'bytes', 'oldest')
return head
