-- Removes what a log keeps beyond its limits, as append.lua does, when nothing is appended.
--
-- KEYS[1]  hg:meta:{T}:<room>  see open.lua
-- KEYS[2]  hg:log:{T}:<room>   see open.lua
-- ARGV[1]  messages kept in the log
-- ARGV[2]  ms for which they are kept, 0 for ever
-- ARGV[3]  bytes kept in the log
-- ARGV[4]  how many messages may go in this call
-- Reply:   1 if the log is within its limits now, 0 if more has to go
local meta = redis.call('HMGET', KEYS[1], 'bytes', 'oldest', 'epoch')
local now, age = now_ms(), tonumber(ARGV[2])
local log = log_state(KEYS[2], meta[1], meta[2], now)
local limits = {messages = tonumber(ARGV[1]), bytes = tonumber(ARGV[3]), since = age > 0 and now - age or 0}
if not is_over(log, limits) then
    return 1
end
trim(KEYS[2], log, limits, tonumber(ARGV[4]))
if meta[3] then
    redis.call('HSET', KEYS[1], 'bytes', text(log.bytes), 'oldest', text(log.oldest))
end
return is_over(log, limits) and 0 or 1
