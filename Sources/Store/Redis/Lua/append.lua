-- Appends a batch of messages to the log of a room, in order, all or nothing as far as the fence is concerned.
--
-- KEYS[1]  hg:meta:{T}:<room>    see open.lua
-- KEYS[2]  hg:log:{T}:<room>     see open.lua
-- KEYS[3]  hg:keys:{T}:<room>    a hash: user NUL key -> "epoch-seq-at"
-- KEYS[4]  hg:expiry:{T}:<room>  a list: "<ms at which the key is forgotten> <user NUL key>", oldest first
-- ARGV[1]  the fence, "viewEpoch.rosterVersion"
-- ARGV[2]  run id of the server
-- ARGV[3]  messages kept in the log
-- ARGV[4]  dedup window in ms
-- ARGV[5]  keys remembered at most
-- ARGV[6]+ for each message: user NUL key, at in ms, body
-- Reply:   {"OK", for each message "appended <epoch-seq>", "duplicate <epoch-seq> <at>" or "keysFull"},
--          {"FENCED", the fence that stands}, or {"NOTOPEN"}
--
-- A log that was opened under another run of the server is not open: what this run knows of it may be old.
local FIXED = 5

local function text(number)
    return string.format('%.0f', number)
end

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

local meta = redis.call('HMGET', KEYS[1], 'fence', 'run', 'epoch', 'seq', 'at')
if not meta[1] or meta[2] ~= ARGV[2] then
    return {'NOTOPEN'}
end
if meta[1] ~= ARGV[1] then
    return {'FENCED', meta[1]}
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local window, keys_max = tonumber(ARGV[4]), tonumber(ARGV[5])
forget_expired(now, 64 + 2 * (#ARGV - FIXED) / 3)

local epoch, seq, last_at = meta[3], tonumber(meta[4]), tonumber(meta[5])
local live = redis.call('HLEN', KEYS[3])
local due = text(now + window)
local reply, appended = {'OK'}, 0
for i = FIXED + 1, #ARGV, 3 do
    local field, at, body = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local first = redis.call('HGET', KEYS[3], field)
    if first then
        local id, first_at = string.match(first, '^(%d+-%d+)-(%d+)$')
        reply[#reply + 1] = 'duplicate ' .. id .. ' ' .. first_at
    elseif live >= keys_max then
        reply[#reply + 1] = 'keysFull'
    else
        seq = seq + 1
        last_at = math.max(last_at, tonumber(at))
        local id = epoch .. '-' .. text(seq)
        redis.call('XADD', KEYS[2], id, 'body', body)
        redis.call('HSET', KEYS[3], field, id .. '-' .. text(last_at))
        redis.call('RPUSH', KEYS[4], due .. ' ' .. field)
        live, appended = live + 1, appended + 1
        reply[#reply + 1] = 'appended ' .. id
    end
end

if appended > 0 then
    redis.call('HSET', KEYS[1], 'seq', text(seq), 'head', epoch .. '-' .. text(seq), 'at', text(last_at))
    redis.call('XTRIM', KEYS[2], 'MAXLEN', ARGV[3])
    redis.call('PEXPIRE', KEYS[3], ARGV[4])
    redis.call('PEXPIRE', KEYS[4], ARGV[4])
end
return reply
