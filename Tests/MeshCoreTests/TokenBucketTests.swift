import MeshCore
import Testing

@Suite("Tokens that fill with time")
struct TokenBucketTests {
    private func taken(_ bucket: inout TokenBucket, at now: Instant) -> Int {
        var count = 0
        while count < 1_000_000, bucket.take(now: now) { count += 1 }
        return count
    }

    @Test("a burst, then what time brings, and never more than a burst") func fill() {
        var bucket = TokenBucket(perSecond: 10, burst: 30, now: .zero)
        #expect(taken(&bucket, at: .zero) == 30)
        #expect(taken(&bucket, at: .zero + .milliseconds(50)) == 0)
        #expect(taken(&bucket, at: .zero + .seconds(1)) == 10)
        #expect(taken(&bucket, at: .zero + .seconds(1000)) == 30)
    }

    @Test("what is earned stays, up to a hundred bursts") func earned() {
        var bucket = TokenBucket(perSecond: 10, burst: 10, now: .zero)
        bucket.add(100)
        #expect(taken(&bucket, at: .zero + .seconds(100)) == 110)
        bucket.add(1e12)
        #expect(taken(&bucket, at: .zero + .seconds(200)) == 1_000)
    }

    @Test("says how long the next one takes") func wait() {
        var bucket = TokenBucket(perSecond: 10, burst: 10, now: .zero)
        #expect(bucket.wait == .zero)
        _ = taken(&bucket, at: .zero)
        let ready = Instant.zero + bucket.wait
        #expect(ready > .zero && ready <= .zero + .milliseconds(101))
        let isThere = bucket.take(now: ready)
        #expect(isThere)
    }
}
