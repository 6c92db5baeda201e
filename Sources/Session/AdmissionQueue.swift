import DequeModule
import MeshCore

/// Which hellos a cell takes now, which wait, and which are told to come back later, so that a storm of clients is served at the pace that the
/// cell can hold (promise P9).
///
/// Hellos are paid from a bucket of tokens. What is not paid at once waits, for two seconds at most; sessions that resume go before new ones,
/// since somebody misses them. What cannot be served in time is given a slot: the slots lie one behind the other at the pace of the bucket, so that
/// those who were refused together do not return together.
public struct AdmissionQueue<Comer: Sendable>: Sendable {
    public struct Settings: Hashable, Sendable {
        public var perSecond: Int
        /// Of those who wait: what their hellos hold.
        public var bytesMax = 64 << 20
        public var waitMax = TimeSpan.seconds(2)
        /// No slot lies further ahead; those beyond are laid between the others.
        public var slotMax = TimeSpan.seconds(30)

        public init(perSecond: Int) { self.perSecond = perSecond }

        /// Half a second's worth.
        var burst: Int { max(1, perSecond / 2) }
        /// As many as can be served while one waits.
        var waitingMax: Int { max(1, perSecond * waitMax.milliseconds / 1000) }
        /// The time between two hellos.
        var step: TimeSpan { TimeSpan(nanoseconds: 1_000_000_000 / Int64(perSecond)) }
    }

    public enum Kind: Hashable, Sendable { case resume, join }

    public struct Decision: Sendable {
        public var admitted: [Comer] = []
        public var refused: [(comer: Comer, after: TimeSpan)] = []
    }

    private struct Waiting: Sendable {
        var comer: Comer
        var bytes: Int
        var since: Instant
    }

    private let settings: Settings
    private var bucket: TokenBucket
    private var resumes: Deque<Waiting> = []
    private var joins: Deque<Waiting> = []
    private var bytes = 0
    private var nextSlot = Instant.zero
    private var random: SeededRandom

    public init(_ settings: Settings, now: Instant, seed: UInt64) {
        self.settings = settings
        bucket = TokenBucket(perSecond: settings.perSecond, burst: settings.burst, now: now)
        random = SeededRandom(seed: seed)
    }

    public var count: Int { resumes.count + joins.count }

    /// When to call `advance` again; nil while nobody waits.
    public func nextWake(after now: Instant) -> Instant? { count == 0 ? nil : now + settings.step }

    // MARK: Events

    /// - Parameter bytes: what the comer holds while it waits.
    public mutating func arrive(_ comer: Comer, _ kind: Kind, bytes: Int, now: Instant) -> Decision {
        var decision = advance(now: now)
        if count == 0, bucket.take(now: now) {
            decision.admitted.append(comer)
            return decision
        }
        if isFull(with: bytes), kind == .resume, let newest = joins.popLast() { refuse(newest, now, &decision) }
        guard !isFull(with: bytes) else {
            decision.refused.append((comer, slot(now)))
            return decision
        }
        self.bytes += bytes
        let waiting = Waiting(comer: comer, bytes: bytes, since: now)
        if kind == .resume { resumes.append(waiting) } else { joins.append(waiting) }
        return decision
    }

    /// Time has passed.
    public mutating func advance(now: Instant) -> Decision {
        var decision = Decision()
        while count > 0, bucket.take(now: now), let next = popNext() { decision.admitted.append(next) }
        while let first = joins.first, now - first.since >= settings.waitMax { refuse(joins.removeFirst(), now, &decision) }
        while let first = resumes.first, now - first.since >= settings.waitMax { refuse(resumes.removeFirst(), now, &decision) }
        return decision
    }

    /// Whoever was admitted has gone meanwhile: the next one takes the place.
    public mutating func refund() { bucket.add(1) }

    // MARK: Parts

    private func isFull(with more: Int) -> Bool { count >= settings.waitingMax || bytes + more > settings.bytesMax }

    private mutating func popNext() -> Comer? {
        guard let next = resumes.popFirst() ?? joins.popFirst() else { return nil }
        bytes -= next.bytes
        return next.comer
    }

    /// For one that was taken out of its queue.
    private mutating func refuse(_ waiting: Waiting, _ now: Instant, _ decision: inout Decision) {
        bytes -= waiting.bytes
        decision.refused.append((waiting.comer, slot(now)))
    }

    /// Behind the slot before, and behind those who wait now; drawn from the whole step that is its own.
    private mutating func slot(_ now: Instant) -> TimeSpan {
        let step = settings.step
        let least = now + step * count
        if nextSlot < least || nextSlot - now + step > settings.slotMax { nextSlot = least }
        let slot = nextSlot - now + TimeSpan(nanoseconds: Int64.random(in: 0..<step.nanoseconds, using: &random))
        nextSlot = nextSlot + step
        return slot
    }
}
