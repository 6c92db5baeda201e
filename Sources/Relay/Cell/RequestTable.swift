import DequeModule
import MeshCore

/// Requests of this cell to the roots of rooms that have no answer yet. Bounded; each is answered once, by its answer or by its deadline.
struct RequestTable {
    typealias Completion = (RootResponse.Answer) -> Void

    private var pending: [UInt64: Completion] = [:]
    /// In the order of their deadlines, since all wait equally long.
    private var deadlines: Deque<(id: UInt64, at: Instant)> = []
    private var lastID: UInt64
    private let step: UInt64
    private let most: Int

    /// Ids are unique in the node: cell `index` of `cells` uses every `cells`th number.
    init(cell index: Int, cells: Int, most: Int) {
        lastID = UInt64(index)
        step = UInt64(cells)
        self.most = most
    }

    var count: Int { pending.count }

    static func cell(of id: UInt64, cells: Int) -> Int { Int(id % UInt64(cells)) }

    /// Nil at the bound.
    mutating func add(deadline: Instant, _ completion: @escaping Completion) -> UInt64? {
        guard pending.count < most else { return nil }
        lastID += step
        pending[lastID] = completion
        deadlines.append((lastID, deadline))
        return lastID
    }

    mutating func take(_ id: UInt64) -> Completion? { pending.removeValue(forKey: id) }

    mutating func expired(now: Instant) -> [Completion] {
        var late: [Completion] = []
        while let first = deadlines.first, first.at <= now || pending[first.id] == nil {
            deadlines.removeFirst()
            if let completion = pending.removeValue(forKey: first.id) { late.append(completion) }
        }
        return late
    }
}
