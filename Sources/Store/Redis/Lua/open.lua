-- Creates the log of a room or takes it over, and writes the fence.
--
-- KEYS[1]  hg:meta:{T}:<room>, a hash: fence, incarnation, run, epoch (of the next message), seq (handed out last),
--          head (last position, "epoch-seq"), at (of the last message, ms), bytes (kept), oldest (at of the oldest kept),
--          deleted (the last position when the room was last deleted), batch (appended last since it was opened)
-- KEYS[2]  hg:log:{T}:<room>, a stream: id "epoch-seq", fields "at" (ms; missing in logs of older versions) and "body"
-- KEYS[3]  hg:epochs:{T}:<room>, a hash: epoch -> "first-last", "first-" for the one that is open
-- ARGV[1]  the fence, "viewEpoch.rosterVersion"
-- ARGV[2]  the store's incarnation
-- ARGV[3]  run id of the server
-- ARGV[4]  the epoch that the log must have at least
-- ARGV[5]  the highest position known to have been handed out, "epoch-seq"
-- ARGV[6]  how many epochs the table keeps
-- Reply:   {"OK", epoch, head, at} or {"FENCED", the fence that stands}
--
-- Two rules see to it that a position never names two messages. An epoch is not continued in another incarnation or run of
-- the store. Nor is it continued when positions of it are known that this log does not hold.
local meta = redis.call('HMGET', KEYS[1], 'fence', 'incarnation', 'run', 'epoch', 'seq', 'head', 'at')
local view_epoch, roster_version = pair(ARGV[1])
if meta[1] then
    local stored_view_epoch, stored_roster_version = pair(meta[1])
    if above(stored_view_epoch, stored_roster_version, view_epoch, roster_version) then
        return {'FENCED', meta[1]}
    end
end

local open_epoch, seq = tonumber(meta[4] or '0'), tonumber(meta[5] or '0')
local head_epoch, head_seq = pair(meta[6] or '0-0')
local last_id = last_stream_id(KEYS[2])
local stream_epoch, stream_seq = pair(last_id or '0-0')
if above(stream_epoch, stream_seq, head_epoch, head_seq) then
    head_epoch, head_seq = stream_epoch, stream_seq
end
local known_epoch, known_seq = pair(ARGV[5])

local held_epoch = math.max(open_epoch, head_epoch)
local epoch = math.max(held_epoch, tonumber(ARGV[4]), known_epoch)
local other_store = meta[2] ~= ARGV[2] or meta[3] ~= ARGV[3]
if (meta[4] or last_id) and other_store and epoch == held_epoch then
    epoch = epoch + 1
end
local last_of_open_epoch = math.max(seq, head_seq)
seq = math.max(last_of_open_epoch, known_seq)
if above(known_epoch, known_seq, head_epoch, head_seq) then
    head_epoch, head_seq = known_epoch, known_seq
    epoch = math.max(epoch, known_epoch + 1)
end

if not meta[4] or epoch ~= open_epoch then
    local range = meta[4] and redis.call('HGET', KEYS[3], meta[4])
    if range then
        redis.call('HSET', KEYS[3], meta[4], string.match(range, '^%d+-') .. text(last_of_open_epoch))
    end
    redis.call('HSET', KEYS[3], text(epoch), text(seq + 1) .. '-')
    forget_oldest_epochs(KEYS[3], tonumber(ARGV[6]))
end
redis.call('HDEL', KEYS[1], 'batch')
local head, at = text(head_epoch) .. '-' .. text(head_seq), meta[7] or '0'
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'incarnation', ARGV[2], 'run', ARGV[3],
    'epoch', text(epoch), 'seq', text(seq), 'head', head, 'at', at)
return {'OK', text(epoch), head, at}
