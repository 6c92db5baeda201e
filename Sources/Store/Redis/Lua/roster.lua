-- Compare-and-set of the region's roster.
--
-- KEYS[1]  hg:roster, a hash: version, nodes (a JSON list of "<region>/<node>")
-- ARGV[1]  the version that must stand, 0 for none
-- ARGV[2]  the proposed version
-- ARGV[3]  the proposed nodes
-- Reply:   {version, nodes} as they stand afterwards
local stored = redis.call('HMGET', KEYS[1], 'version', 'nodes')
if (stored[1] or '0') ~= ARGV[1] then
    return {stored[1] or '0', stored[2] or '[]'}
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'nodes', ARGV[3])
return {ARGV[2], ARGV[3]}
