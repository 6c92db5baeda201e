-- Moves a user's last-seen forward, never back.
--
-- KEYS[1]  hg:seen:{T}:@<user>, a string: ms
-- ARGV[1]  ms
-- Reply:   1
local stored = redis.call('GET', KEYS[1])
if not stored or tonumber(stored) < tonumber(ARGV[1]) then
    redis.call('SET', KEYS[1], ARGV[1])
end
return 1
