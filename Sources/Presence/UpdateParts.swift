import MeshCore

/// A piece of what an owner says: what is too large for one frame is cut, and counts when it is whole again.
public struct OwnerUpdatePart: Hashable, Sendable {
    public var update: OwnerUpdate
    /// From 0 on.
    public var number: Int
    /// Another part follows.
    public var hasMore: Bool

    public init(_ update: OwnerUpdate, number: Int = 0, hasMore: Bool = false) {
        self.update = update
        self.number = number
        self.hasMore = hasMore
    }
}

extension OwnerUpdate {
    /// The same in parts of about `bytesGoal` at most, in order; almost always one.
    public func parts(bytesGoal: Int) -> [OwnerUpdatePart] {
        let (entries, removed): ([MemberEntry], [UInt64])
        switch content {
        case .snapshot(let all): (entries, removed) = (all, [])
        case .delta(_, let upserted, let gone): (entries, removed) = (upserted, gone)
        case .gone: return [OwnerUpdatePart(self)]
        }
        guard entries.reduce(removed.count * Self.removalBytes, { $0 + $1.encodedBytes }) > bytesGoal else {
            return [OwnerUpdatePart(self)]
        }
        var parts = Self.cut(entries, bytesGoal: bytesGoal) { $0.encodedBytes }.map { with(entries: $0, removed: []) }
        parts += Self.cut(removed, bytesGoal: bytesGoal) { _ in Self.removalBytes }.map { with(entries: [], removed: $0) }
        return parts.enumerated().map { OwnerUpdatePart($1, number: $0, hasMore: $0 < parts.count - 1) }
    }

    /// Several, in groups of parts that together are not much larger than `bytesGoal`: what one frame carries.
    public static func groups(_ updates: [OwnerUpdate], bytesGoal: Int) -> [[OwnerUpdatePart]] {
        cut(updates.flatMap { $0.parts(bytesGoal: bytesGoal) }, bytesGoal: bytesGoal) { $0.update.encodedBytes }
    }

    /// A number of up to 10 bytes.
    private static let removalBytes = 10
    /// Owner and version.
    private static let headBytes = 600

    private var encodedBytes: Int {
        switch content {
        case .snapshot(let entries): entries.reduce(Self.headBytes) { $0 + $1.encodedBytes }
        case .delta(_, let entries, let removed):
            entries.reduce(Self.headBytes + removed.count * Self.removalBytes) { $0 + $1.encodedBytes }
        case .gone: Self.headBytes
        }
    }

    private static func cut<Element>(_ all: [Element], bytesGoal: Int, size: (Element) -> Int) -> [[Element]] {
        var pieces: [[Element]] = []
        var bytes = bytesGoal
        for element in all {
            bytes += size(element)
            if bytes > bytesGoal {
                pieces.append([])
                bytes = size(element)
            }
            pieces[pieces.count - 1].append(element)
        }
        return pieces
    }

    fileprivate func with(entries: [MemberEntry], removed: [UInt64]) -> OwnerUpdate {
        var update = self
        switch content {
        case .snapshot: update.content = .snapshot(entries)
        case .delta(let from, _, _): update.content = .delta(from: from, upserted: entries, removed: removed)
        case .gone: break
        }
        return update
    }

    fileprivate func joined(with next: OwnerUpdate) -> OwnerUpdate? {
        guard next.owner == owner, next.version == version else { return nil }
        switch (content, next.content) {
        case (.snapshot(let first), .snapshot(let second)): return with(entries: first + second, removed: [])
        case (.delta(let from, let first, let gone), .delta(let nextFrom, let second, let alsoGone)) where from == nextFrom:
            return with(entries: first + second, removed: gone + alsoGone)
        default: return nil
        }
    }
}

extension MemberEntry {
    /// On a link, at most: the texts, and numbers and lengths of up to 10 bytes.
    fileprivate var encodedBytes: Int { user.utf8.count + device.utf8.count + note.utf8.count + 64 }
}

/// Puts what sources said in parts together again. A link is first in, first out, so only one update of a source is unfinished at a time.
public struct UpdateAssembly<Source: Hashable & Sendable>: Sendable {
    private var unfinished: [Source: OwnerUpdatePart] = [:]

    public init() {}

    public var isEmpty: Bool { unfinished.isEmpty }

    /// The whole update if this was its last part. A part that does not follow on the ones before is dropped with them: the sender
    /// announces everything anew when its link comes up.
    public mutating func take(_ part: OwnerUpdatePart, from source: Source) -> OwnerUpdate? {
        let before = unfinished.removeValue(forKey: source)
        guard let whole = part.number == 0 ? part.update : Self.join(before, part) else { return nil }
        guard part.hasMore else { return whole }
        unfinished[source] = OwnerUpdatePart(whole, number: part.number, hasMore: true)
        return nil
    }

    private static func join(_ before: OwnerUpdatePart?, _ part: OwnerUpdatePart) -> OwnerUpdate? {
        guard let before, before.number + 1 == part.number else { return nil }
        return before.update.joined(with: part.update)
    }

    public mutating func forget(_ source: Source) { unfinished[source] = nil }
}
