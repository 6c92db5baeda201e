import Testing

@testable import Benchmarks

@Suite struct HistogramTests {
    @Test func percentilesAreAtMostOneBucketHigh() {
        var histogram = Histogram()
        for value in UInt64(1)...100_000 { histogram.record(value) }
        for fraction in [0.01, 0.5, 0.9, 0.99, 0.999] {
            let exact = fraction * 100_000
            let found = Double(histogram.percentile(fraction))
            #expect(found >= exact && found <= exact * 1.033, "\(fraction): \(found)")
        }
        #expect(histogram.percentile(1) == 100_000)
        #expect(histogram.maximum == 100_000)
        #expect(Histogram().percentile(0.5) == 0)
    }

    @Test func everyValueFallsIntoABucketWhoseEdgesHoldIt() {
        var values: [UInt64] = [0, .max]
        for exponent in 0..<64 { values += [1 << UInt64(exponent), (1 << UInt64(exponent)) &- 1, (1 << UInt64(exponent)) | 1] }
        for value in values {
            let bucket = Histogram.bucket(of: value)
            #expect(Histogram.upperEdge(of: bucket) >= value)
            if bucket > 0 { #expect(Histogram.upperEdge(of: bucket - 1) < value) }
        }
    }

    @Test func theMedianIsTheMiddle() {
        #expect(median([]) == 0)
        #expect(median([3]) == 3)
        #expect(median([3, 1, 2]) == 2)
        #expect(median([4, 1, 2, 3]) == 2.5)
    }
}

@Suite struct DeliveryWindowTests {
    @Test func aMessageIsCompleteWhenEveryConnectionHasIt() {
        var window = DeliveryWindow(connections: 3)
        window.publish(at: 100)
        window.publish(at: 200)
        #expect(window.underWay == 2)
        let steps: [(count: Int, connection: Int, underWay: Int)] = [(2, 0, 2), (1, 1, 2), (1, 2, 1), (1, 2, 1), (1, 1, 0)]
        for step in steps {
            let isKnown = window.deliver(step.count, to: step.connection, at: 300)
            #expect(isKnown)
            #expect(window.underWay == step.underWay)
        }
        #expect(window.deliveries == 6)
        #expect(window.latency.count == 6)
        #expect(window.latency.maximum == 200)
        let isKnown = window.deliver(1, to: 0, at: 400)
        #expect(!isKnown, "nobody gets what was never sent")
    }

    @Test func theRingOfMessagesGoesRound() {
        var window = DeliveryWindow(connections: 2)
        for round in 0..<3 {
            while !window.isFull { window.publish(at: UInt64(round)) }
            let count = window.underWay
            #expect(count == DeliveryWindow.capacity - 1)
            for connection in 0..<2 {
                #expect(window.underWay == count)
                let isKnown = window.deliver(count, to: connection, at: 5)
                #expect(isKnown)
            }
            #expect(window.underWay == 0)
        }
        #expect(window.completed == window.published)
    }

    @Test func ofManyConnectionsSomeAreSampled() {
        var window = DeliveryWindow(connections: 640)
        window.publish(at: 1)
        for connection in 0..<640 { _ = window.deliver(1, to: connection, at: 2) }
        #expect(window.deliveries == 640)
        #expect(window.underWay == 0)
        #expect(window.latency.count == 80)
    }

    @Test func aWindowKeepsItsSizeAndARateItsTimes() {
        var windowed = Schedule(pace: .window(2), start: 0)
        let due = [windowed.next(underWay: 1, now: 7), windowed.next(underWay: 2, now: 7)]
        #expect(due == [7, nil])
        var paced = Schedule(pace: .rate(1000), start: 5)
        // The last two are late: their latency still counts from when they were due.
        let times = [5, 1_000_004, 9_000_000, 9_000_000].map { now in paced.next(underWay: 9, now: now) }
        #expect(times == [5, nil, 1_000_005, 2_000_005])
    }
}
