-- Appends a batch of messages to the log of a room, in order, all or nothing as far as the fence is concerned, and trims the log.
--
-- KEYS[1]  hg:meta:{T}:<room>    see open.lua
-- KEYS[2]  hg:log:{T}:<room>     see open.lua
-- KEYS[3]  hg:keys:{T}:<room>    a hash: user NUL key -> "epoch-seq-at"
-- KEYS[4]  hg:expiry:{T}:<room>  a list: "<ms at which the key is forgotten> <user NUL key>", oldest first
-- ARGV[1]  the fence, "viewEpoch.rosterVersion"
-- ARGV[2]  run id of the server
-- ARGV[3]  messages kept in the log
-- ARGV[4]  ms for which they are kept, 0 for ever
-- ARGV[5]  bytes kept in the log
-- ARGV[6]  dedup window in ms
-- ARGV[7]  keys remembered at most
-- ARGV[8]  name of the batch
-- ARGV[9]  name of the batch that must have been the one before, or empty
-- ARGV[10]+ for each message: user NUL key, at in ms, body
-- Reply:   {"OK", and in the order of the messages "appended <first epoch-seq> <count>" for as many in a row,
--          "duplicate <epoch-seq> <at>" or "keysFull"}, {"FENCED", the fence that stands}, {"NOTOPEN"} or {"OUTOFORDER"}
--
-- A log that was opened under another run of the server is not open: what this run knows of it may be old.
-- A batch that was sent before the outcome of the one before it was known is out of order if that one has failed.
local FIXED = 9

-- A bounded number, so that no call pays for a long past one; more than the call can add, so that the queue shrinks.
local function forget_expired(now, most)
    for _ = 1, most do
        local oldest = redis.call('LINDEX', KEYS[4], 0)
        if not oldest then
            return
        end
        local due, field = string.match(oldest, '^(%d+) (.*)$')
        if tonumber(due) > now then
            return
        end
        redis.call('LPOP', KEYS[4])
        redis.call('HDEL', KEYS[3], field)
    end
end

local meta = redis.call('HMGET', KEYS[1], 'fence', 'run', 'epoch', 'seq', 'at', 'bytes', 'oldest', 'batch')
if not meta[1] or meta[2] ~= ARGV[2] then
    return {'NOTOPEN'}
end
if meta[1] ~= ARGV[1] then
    return {'FENCED', meta[1]}
end
if ARGV[9] ~= '' and meta[8] ~= ARGV[9] then
    return {'OUTOFORDER'}
end

local now, window, keys_max = now_ms(), tonumber(ARGV[6]), tonumber(ARGV[7])
local most = 64 + 2 * (#ARGV - FIXED) / 3
forget_expired(now, most)

local epoch, seq, last_at = meta[3], tonumber(meta[4]), tonumber(meta[5])
local live = redis.call('HLEN', KEYS[3])
local due = text(now + window)
local log = log_state(KEYS[2], meta[6], meta[7], now)
local reply, appended = {'OK'}, 0
local first_of_row, row = nil, 0

local function end_row()
    if row > 0 then
        reply[#reply + 1] = 'appended ' .. first_of_row .. ' ' .. row
        row = 0
    end
end

for i = FIXED + 1, #ARGV, 3 do
    local field, at, body = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local first = redis.call('HGET', KEYS[3], field)
    if first then
        local id, first_at = string.match(first, '^(%d+-%d+)-(%d+)$')
        end_row()
        reply[#reply + 1] = 'duplicate ' .. id .. ' ' .. first_at
    elseif live >= keys_max then
        end_row()
        reply[#reply + 1] = 'keysFull'
    else
        seq = seq + 1
        last_at = math.max(last_at, tonumber(at))
        local id, stamp = epoch .. '-' .. text(seq), text(last_at)
        redis.call('XADD', KEYS[2], id, 'at', stamp, 'body', body)
        redis.call('HSET', KEYS[3], field, id .. '-' .. stamp)
        redis.call('RPUSH', KEYS[4], due .. ' ' .. field)
        if log.length == 0 then
            log.oldest = last_at
        end
        log.length, log.bytes = log.length + 1, log.bytes + #body
        live, appended = live + 1, appended + 1
        if row == 0 then
            first_of_row = id
        end
        row = row + 1
    end
end
end_row()

if appended > 0 then
    local messages, age, size = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
    -- A 64th more may stay, so that not every append has to read what it removes.
    local loose = {
        messages = messages + math.floor(messages / 64), bytes = size + math.floor(size / 64),
        since = age > 0 and now - age - math.floor(age / 64) or 0}
    if is_over(log, loose) then
        trim(KEYS[2], log, {messages = messages, bytes = size, since = age > 0 and now - age or 0}, most)
    end
    redis.call('HSET', KEYS[1], 'seq', text(seq), 'head', epoch .. '-' .. text(seq), 'at', text(last_at),
        'bytes', text(log.bytes), 'oldest', text(log.oldest), 'batch', ARGV[8])
    -- A log to which nothing is appended any more goes as a whole.
    if age > 0 then
        redis.call('PEXPIRE', KEYS[2], ARGV[4])
    else
        redis.call('PERSIST', KEYS[2])
    end
    redis.call('PEXPIRE', KEYS[3], ARGV[6])
    redis.call('PEXPIRE', KEYS[4], ARGV[6])
else
    redis.call('HSET', KEYS[1], 'batch', ARGV[8])
end
return reply
