import MeshCore

/// Requests of this cell to the roots of rooms that have no answer yet. Bounded; each is answered once, by its answer or by its deadline.
struct RequestTable {
    typealias Completion = (RootResponse.Answer) -> Void

    private struct Pending {
        var deadline: Instant
        var completion: Completion
    }

    private var pending: [UInt64: Pending] = [:]
    /// No deadline is earlier than this. Some requests wait much longer than others, so their order says nothing.
    private var earliest: Instant?
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
        pending[lastID] = Pending(deadline: deadline, completion: completion)
        earliest = min(earliest ?? deadline, deadline)
        return lastID
    }

    mutating func take(_ id: UInt64) -> Completion? { pending.removeValue(forKey: id)?.completion }

    /// Those past their deadline, in the order in which they were asked.
    mutating func expired(now: Instant) -> [Completion] {
        guard let earliest, earliest <= now else { return [] }
        let late = pending.filter { $0.value.deadline <= now }.keys.sorted()
        let completions = late.compactMap { take($0) }
        self.earliest = pending.values.map(\.deadline).min()
        return completions
    }
}
