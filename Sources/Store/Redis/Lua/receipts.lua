-- Moves receipts of a room forward, never back.
--
-- KEYS[1]  hg:receipts:{T}:<room>, a hash: user, or user NUL for what she confirmed while invisible -> "<delivered> <read>",
--          each "epoch-seq"
-- ARGV     pairs of field and value
-- Reply:   how many fields changed
local function later(a, b)
    local a_epoch, a_seq = string.match(a, '^(%d+)-(%d+)$')
    local b_epoch, b_seq = string.match(b, '^(%d+)-(%d+)$')
    a_epoch, b_epoch = tonumber(a_epoch), tonumber(b_epoch)
    if a_epoch == b_epoch then
        return tonumber(a_seq) > tonumber(b_seq) and a or b
    end
    return a_epoch > b_epoch and a or b
end

local changed = 0
for i = 1, #ARGV, 2 do
    local stored, merged = redis.call('HGET', KEYS[1], ARGV[i]), ARGV[i + 1]
    if stored then
        local stored_delivered, stored_read = string.match(stored, '^(%S+) (%S+)$')
        local delivered, read = string.match(merged, '^(%S+) (%S+)$')
        merged = later(delivered, stored_delivered) .. ' ' .. later(read, stored_read)
    end
    if merged ~= stored then
        redis.call('HSET', KEYS[1], ARGV[i], merged)
        changed = changed + 1
    end
end
return changed
