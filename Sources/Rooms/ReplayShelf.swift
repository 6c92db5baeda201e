import MeshCore

/// What one level of a room's tree can replay by itself: its tail, and for a moment the pages that it had to ask for. After an outage many
/// readers want nearly the same; they share what the first of them has asked for, and while that is under way they wait for it.
public struct ReplayShelf<Message: Sendable>: Sendable {
    private struct Page: Sendable {
        var start: ReplayStart
        var page: ReplayPage<Message>
        var bytes: Int
        var keptUntil: Instant
    }

    public var tail: Tail<Message>
    private var pages: [Page] = []
    /// With what was known to be forgotten when they began.
    private var flights: [ReplayStart: UInt64] = [:]
    private var forgotten: UInt64 = 0
    /// Of the pages.
    public private(set) var pageBytes = 0
    private let limits: ReplayPageLimits

    static var pagesMax: Int { 16 }
    static var keptFor: TimeSpan { .seconds(2) }

    public init(tail: Tail<Message>, limits: ReplayPageLimits = ReplayPageLimits()) {
        self.tail = tail
        self.limits = limits
    }

    public var isEmpty: Bool { pages.isEmpty }

    /// Nil if it has to be asked for.
    public func page(_ start: ReplayStart) -> ReplayPage<Message>? {
        if let page = tail.page(start, limits) { return page }
        for kept in pages where kept.start == start { return kept.page }
        guard case .after(let position) = start else { return nil }
        for kept in pages { if let page = kept.page.suffix(after: position) { return page } }
        return nil
    }

    /// The request to wait for: one under way that will most likely bring it, or else `start` itself, which is then to be asked for.
    public mutating func fly(_ start: ReplayStart) -> (flight: ReplayStart, isNew: Bool) {
        if let flight = flights.keys.first(where: { covers($0, start) }) { return (flight, false) }
        flights[start] = forgotten
        return (start, true)
    }

    private func covers(_ flight: ReplayStart, _ start: ReplayStart) -> Bool {
        if flight == start { return true }
        guard case .after(let a) = flight, case .after(let b) = start else { return false }
        return a.epoch == b.epoch && a != .zero && b.seq > a.seq && b.seq - a.seq <= UInt64(limits.messagesMax / 2)
    }

    /// A request was answered. False if what it brings must not be told any more: `forget` was called meanwhile.
    ///
    /// - Parameters:
    ///   - page: nil if it could not be had.
    ///   - bytes: of its messages; nil if there is no room to keep it.
    public mutating func landed(_ flight: ReplayStart, _ page: ReplayPage<Message>?, bytes: Int?, now: Instant) -> Bool {
        let begunAt = flights.removeValue(forKey: flight)
        expire(now: now)
        guard begunAt == forgotten else { return false }
        guard let page, let bytes, !page.items.isEmpty else { return true }
        if pages.count >= Self.pagesMax { pageBytes -= pages.removeFirst().bytes }
        pages.append(Page(start: flight, page: page, bytes: bytes, keptUntil: now + Self.keptFor))
        pageBytes += bytes
        return true
    }

    public mutating func expire(now: Instant) {
        pages.removeAll { $0.keptUntil <= now }
        pageBytes = pages.reduce(0) { $0 + $1.bytes }
    }

    /// Nothing of the room may be replayed any more.
    public mutating func forget() {
        tail.forget()
        pages = []
        pageBytes = 0
        forgotten += 1
    }
}
