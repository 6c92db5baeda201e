import MeshCore
import Push

/// What is owed to the user of an inbox, as the root of her room sees it. Decides only; `InboxPushes` obeys.
///
/// A message that comes while she has no session is owed a notification. A note in the store, made before the append, says so until the
/// notification is queued: if the root dies in between, somebody else finds the note. What comes while she has a session is owed one when
/// her last session ends without having confirmed it.
struct InboxLedger {
    /// Notifications to be queued, together with the note that this makes good.
    struct Owed: Hashable {
        var notifications: [PushNotification] = []
        var settles: Position?
    }

    /// Messages that wait for it to be known whether she is there. The note stands for the rest.
    static let undecidedMax = 1_000

    private(set) var isPresent = false
    /// Whether the absence of a session means that there is none: not before the store has said who was there.
    private var isCertain = false
    /// The note that this root has made and not made good.
    private var noted: Position?
    private var undecided: [PushNotification] = []
    /// Where the log stood when her first session of those she has began.
    private var sessionBase: Position?
    private var queuedUpTo = Position.zero

    // MARK: Messages

    /// A batch is about to be appended behind `head`. Answers where the note has to stand, nil for none.
    mutating func willAppend(behind head: Position) -> Position? {
        guard !isPresent, noted == nil else { return nil }
        noted = head
        return head
    }

    mutating func appended(_ messages: [PushNotification]) -> Owed? {
        guard isPresent || isCertain else {
            undecided += messages
            if undecided.count > Self.undecidedMax { (undecided, noted) = ([], nil) }
            return nil
        }
        return settle(isPresent ? [] : messages)
    }

    /// Whether anything was appended is not known: the note stays, and the next batch makes one of its own.
    mutating func appendFailed() { noted = nil }

    private mutating func settle(_ owed: [PushNotification]) -> Owed? {
        let settled = noted
        noted = nil
        guard !owed.isEmpty || settled != nil else { return nil }
        for notification in owed { queuedUpTo = max(queuedUpTo, notification.place) }
        return Owed(notifications: owed, settles: settled)
    }

    // MARK: Sessions

    /// The store has said who was there when another node was the root.
    mutating func becameCertain() -> Owed? {
        isCertain = true
        return decide()
    }

    private mutating func decide() -> Owed? {
        guard !undecided.isEmpty || isPresent else { return nil }
        let messages = undecided
        undecided = []
        return settle(isPresent ? [] : messages)
    }

    /// She has a session.
    ///
    /// - Parameter head: of the log, nil if it is not known.
    mutating func arrived(head: Position?) -> Owed? {
        guard !isPresent else { return nil }
        isPresent = true
        // What was appended before she was seen belongs to her session: somebody else has known of it.
        sessionBase = undecided.isEmpty ? head : noted ?? head
        return decide()
    }

    /// The store has said where the log stands.
    mutating func learned(head: Position) {
        if isPresent, sessionBase == nil { sessionBase = head }
    }

    /// She has no session any more. Answers after which position messages may be unconfirmed, nil if nobody knows.
    ///
    /// - Parameter delivered: how far she has confirmed, if that is known.
    mutating func left(delivered: Position?) -> Position? {
        guard isPresent else { return nil }
        isPresent = false
        // She was seen, so from now on her absence is one.
        isCertain = true
        defer { sessionBase = nil }
        // What came before her session was either told or is noted, also by an earlier root.
        return [delivered, sessionBase].compactMap { $0 }.max()
    }

    /// The newest message that she has not confirmed. Nil when she was told of it before, is back, or wrote it herself.
    mutating func unconfirmed(_ newest: PushNotification) -> Owed? {
        guard !isPresent, newest.place > queuedUpTo, newest.from != newest.user else { return nil }
        queuedUpTo = newest.place
        return Owed(notifications: [newest])
    }
}

extension PushNotification {
    var place: Position { Position(epoch: position.epoch, seq: position.seq) }
}
