import MeshCore

/// What a level tells the level below it about a room's receipts.
public struct ReceiptUpdate: Hashable, Sendable {
    /// Replaces all that was said before.
    public var isWhole: Bool
    /// The room is too large to tell everybody of everybody: a receipt goes to the user's own sessions, the others get the summary.
    public var isSummarized: Bool
    public var receipts: [Receipt]
    /// Of a summarized room in which somebody has confirmed something.
    public var summary: ReceiptSummary?

    public init(isWhole: Bool, isSummarized: Bool = false, receipts: [Receipt] = [], summary: ReceiptSummary? = nil) {
        self.isWhole = isWhole
        self.isSummarized = isSummarized
        self.receipts = receipts
        self.summary = summary
    }
}

/// The receipts of a room below its root, as the root last told them.
public struct ReceiptMirror: Sendable {
    /// How far a user's receipts moved, in her own eyes and in those of others.
    public struct Move: Hashable, Sendable {
        public var user: String
        public var own: ReceiptStep
        public var shown: ReceiptStep
    }

    private var table = ReceiptTable()
    public private(set) var isSummarized = false
    public private(set) var summary: ReceiptSummary?

    public init() {}

    public func own(_ user: String) -> ReceiptPositions { table.own(user) }
    public func shown(_ user: String) -> ReceiptPositions { table.shown(user) }
    public var users: [String] { table.users.sorted() }

    public mutating func forget(_ user: String) { table.forget(user) }

    /// - Parameter follows: whether a user's own receipts are of interest here although the room is summarized.
    /// - Returns: what moved. Nothing moves back: a repeat is no move.
    public mutating func apply(_ update: ReceiptUpdate, follows: (String) -> Bool) -> [Move] {
        let receipts = update.receipts.filter { !update.isSummarized || follows($0.user) }
        let before = Dictionary(receipts.map { ($0.user, (own: own($0.user), shown: shown($0.user))) }) { first, _ in first }
        isSummarized = update.isSummarized
        summary = update.isSummarized ? update.summary ?? (update.isWhole ? nil : summary) : nil
        // A whole summary says nothing of single users: what is known of them stays.
        if update.isWhole { keep { update.isSummarized && follows($0) } }
        for receipt in receipts { _ = table.merge(receipt) }
        _ = table.takeChanges()
        return before.sorted { $0.key < $1.key }.compactMap { user, known in
            let move = Move(
                user: user, own: ReceiptStep(from: known.own, to: own(user)), shown: ReceiptStep(from: known.shown, to: shown(user)))
            return move.own.isForward || move.shown.isForward ? move : nil
        }
    }

    /// The same for a child that joins.
    public var whole: ReceiptUpdate {
        ReceiptUpdate(isWhole: true, isSummarized: isSummarized, receipts: isSummarized ? [] : table.all, summary: summary)
    }

    private mutating func keep(_ isKept: (String) -> Bool) {
        let kept = table.all.filter { isKept($0.user) }
        table.removeAll()
        for receipt in kept { _ = table.merge(receipt) }
    }
}

/// From what was known to what is known now.
public struct ReceiptStep: Hashable, Sendable {
    public var from: ReceiptPositions
    public var to: ReceiptPositions

    public init(from: ReceiptPositions, to: ReceiptPositions) {
        self.from = from
        self.to = to
    }

    public var isForward: Bool { read != nil || delivered != nil }
    /// The new position, if it moved forward.
    public var read: Position? { to.read > from.read ? to.read : nil }
    /// The same. Nil also if it moved together with `read`, which says as much.
    public var delivered: Position? { to.delivered > from.delivered && to.delivered > to.read ? to.delivered : nil }
}
