-- Not a script of its own: what the scripts that change a log share. It stands before them.

local function text(number)
    return string.format('%.0f', number)
end

local function pair(joined)
    local first, second = string.match(joined, '^(%d+)[-.](%d+)$')
    return tonumber(first), tonumber(second)
end

local function above(a1, a2, b1, b2)
    return a1 > b1 or (a1 == b1 and a2 > b2)
end

local function last_stream_id(key)
    if redis.call('EXISTS', key) == 0 then
        return nil
    end
    local info = redis.call('XINFO', 'STREAM', key)
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then
            return info[i + 1]
        end
    end
end

local function forget_oldest_epochs(key, most)
    while redis.call('HLEN', key) > most do
        local oldest
        for _, epoch in ipairs(redis.call('HKEYS', key)) do
            if not oldest or tonumber(epoch) < tonumber(oldest) then
                oldest = epoch
            end
        end
        redis.call('HDEL', key, oldest)
    end
end

local function now_ms()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- What is kept of a log, from the hash that `bytes` and `oldest` were read from. A log of an older version has neither, nor the
-- times of its messages: they are taken to be from now.
local function log_state(key, bytes, oldest, now)
    local length = redis.call('XLEN', key)
    if length == 0 then
        return {length = 0, bytes = 0, oldest = 0}
    end
    return {length = length, bytes = tonumber(bytes or '0'), oldest = tonumber(oldest or now)}
end

-- Time and size of an entry of the stream; nil and 0 for one of an older version, whose bytes were not counted.
local function time_and_size(entry)
    local fields = entry[2]
    if fields[1] == 'at' then
        return tonumber(fields[2]), #fields[4]
    end
    return nil, 0
end

-- The newest message is never too large; `since` is 0 when none is too old.
local function is_over(log, limits)
    return log.length > limits.messages or (log.length > 0 and log.oldest < limits.since)
        or (log.length > 1 and log.bytes > limits.bytes)
end

-- Removes the oldest messages until the log is within its limits, at most `most` of them: no call pays for a long past.
local function trim(key, log, limits, most)
    local page = 1
    while most > 0 and is_over(log, limits) do
        local count = math.min(most, math.max(page, log.length - limits.messages))
        -- One more than may go: the oldest that stays.
        local entries = redis.call('XRANGE', key, '-', '+', 'COUNT', count + 1)
        local gone = 0
        while gone < count and gone < #entries and is_over(log, limits) do
            gone = gone + 1
            local _, size = time_and_size(entries[gone])
            log.length, log.bytes = log.length - 1, log.bytes - size
            log.oldest = entries[gone + 1] and time_and_size(entries[gone + 1]) or log.oldest
        end
        redis.call('XTRIM', key, 'MAXLEN', log.length)
        most, page = most - gone, 2 * page
    end
end
