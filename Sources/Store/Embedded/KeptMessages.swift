import DequeModule
import MeshCore
import NIOCore

/// The messages that a log in memory keeps, oldest first, and how long it may: what log.lua does.
struct KeptMessages {
    private var messages: Deque<(message: StoredMessage, at: WallMilliseconds)> = []
    private var bytes = 0
    /// When everything goes unless something is appended before.
    var expiresAt: WallMilliseconds?

    mutating func append(_ message: StoredMessage, at: WallMilliseconds) {
        messages.append((message, at))
        bytes += message.body.readableBytes
    }

    func isExpired(now: WallMilliseconds) -> Bool { expiresAt.map { $0 <= now } ?? false }

    mutating func expire(now: WallMilliseconds) {
        if isExpired(now: now) { self = KeptMessages() }
    }

    /// As `trim`, when a 64th more is kept than may be.
    mutating func trimAppended(_ retention: Retention, now: WallMilliseconds, most: Int) {
        var loose = retention
        loose.messagesMax += retention.messagesMax / 64
        loose.bytesMax += retention.bytesMax / 64
        loose.ageMax = retention.ageMax.map { $0 + .milliseconds($0.milliseconds / 64) }
        if isOver(loose, now: now) { _ = trim(retention, now: now, most: most) }
    }

    /// Removes the oldest ones, at most `most`. True if what is left is within its limits.
    mutating func trim(_ retention: Retention, now: WallMilliseconds, most: Int) -> Bool {
        for _ in 0..<max(0, most) {
            guard isOver(retention, now: now), let oldest = messages.popFirst() else { return true }
            bytes -= oldest.message.body.readableBytes
        }
        return !isOver(retention, now: now)
    }

    private func isOver(_ retention: Retention, now: WallMilliseconds) -> Bool {
        guard let oldest = messages.first else { return false }
        if messages.count > retention.messagesMax { return true }
        if let age = retention.ageMax, oldest.at < now - WallMilliseconds(age.milliseconds) { return true }
        return messages.count > 1 && bytes > retention.bytesMax
    }

    func read(after: Position?, before: Position?, limit: Int, newest: Bool) -> [StoredMessage] {
        let start = after.map { after in firstIndex { $0 > after } } ?? 0
        let end = before.map { before in firstIndex { $0 >= before } } ?? messages.count
        guard start < end, limit > 0 else { return [] }
        let count = min(limit, end - start)
        return (newest ? messages[(end - count)..<end] : messages[start..<(start + count)]).map(\.message)
    }

    /// The first message whose position passes; those that pass come after those that do not.
    private func firstIndex(where passes: (Position) -> Bool) -> Int {
        var low = 0
        var high = messages.count
        while low < high {
            let middle = (low + high) / 2
            if passes(messages[middle].message.position) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
