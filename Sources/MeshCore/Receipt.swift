/// How far a user has confirmed the messages of a room. Both positions are cumulative and only move forward, and what was read was
/// delivered.
public struct ReceiptPositions: Hashable, Sendable, CustomStringConvertible {
    public private(set) var delivered: Position
    public private(set) var read: Position

    /// Nothing is confirmed.
    public static let none = ReceiptPositions()

    public init(delivered: Position = .zero, read: Position = .zero) {
        self.delivered = max(delivered, read)
        self.read = read
    }

    /// As the store keeps it: `delivered read`.
    public var description: String { "\(delivered) \(read)" }

    /// Reads what `description` writes.
    public init?(_ text: some StringProtocol) {
        guard let space = text.firstIndex(of: " "), let delivered = Position(text[..<space]),
            let read = Position(text[text.index(after: space)...])
        else { return nil }
        self.init(delivered: delivered, read: read)
    }

    public func merged(with other: ReceiptPositions) -> ReceiptPositions {
        ReceiptPositions(delivered: max(delivered, other.delivered), read: max(read, other.read))
    }

    /// Nothing beyond `head` can be confirmed, nor a number that was never handed out.
    public func limited(to head: Position) -> ReceiptPositions {
        ReceiptPositions(delivered: Self.limited(delivered, to: head), read: Self.limited(read, to: head))
    }

    private static func limited(_ position: Position, to head: Position) -> Position {
        position > head ? head : Position(epoch: position.epoch, seq: min(position.seq, head.seq))
    }

    /// The same up to `end` at most.
    public func upTo(_ end: Position) -> ReceiptPositions {
        ReceiptPositions(delivered: min(delivered, end), read: min(read, end))
    }

    /// What is confirmed of messages after `position`, and nothing of others.
    public func beyond(_ position: Position) -> ReceiptPositions {
        ReceiptPositions(delivered: delivered > position ? delivered : .zero, read: read > position ? read : .zero)
    }
}

/// Whose receipts they are, and who may see them: what a user confirms while she is invisible is known to her alone.
public struct ReceiptOwner: Hashable, Sendable {
    public var user: String
    public var isHidden: Bool

    public init(user: String, isHidden: Bool = false) {
        self.user = user
        self.isHidden = isHidden
    }
}

/// What one user has confirmed in a room.
public struct Receipt: Hashable, Sendable {
    public var owner: ReceiptOwner
    public var positions: ReceiptPositions
    public var user: String { owner.user }

    public init(_ owner: ReceiptOwner, _ positions: ReceiptPositions) {
        self.owner = owner
        self.positions = positions
    }
}
