import MeshCore
import Rooms
import SwiftProtobuf
import Wire

/// The receipts of one room at its leaf on a cell: pushed to the sessions that asked for them.
final class LeafReceipts {
    private let room: String
    private var mirror = ReceiptMirror()
    /// By user, since a user's sessions are told more of her than others are.
    private var listeners: [String: [ObjectIdentifier: ClientSession]] = [:]

    init(room: String) { self.room = room }

    func listen(_ session: ClientSession, _ isListening: Bool) {
        listeners[session.user, default: [:]][ObjectIdentifier(session)] = isListening ? session : nil
        if listeners[session.user]?.isEmpty == true { listeners[session.user] = nil }
    }

    // MARK: What subscribers are told at first

    /// Whether what `user` has confirmed herself is not known here, although others' receipts are.
    func lacks(_ user: String) -> Bool { mirror.isSummarized && mirror.own(user) == .none }

    /// - Parameter own: what the user herself has confirmed, if it was asked for.
    func states(for user: String, own: ReceiptPositions = .none) -> [RelayReceiptState] {
        let own = own.merged(with: mirror.own(user))
        guard !mirror.isSummarized else { return states(of: user, own) + (mirror.summary.map(states) ?? []) }
        return Set(mirror.users).union([user]).sorted().flatMap { states(of: $0, $0 == user ? own : mirror.shown($0)) }
    }

    private func states(of user: String, _ positions: ReceiptPositions) -> [RelayReceiptState] {
        [(positions.delivered, RelayReceiptKind.delivered), (positions.read, .read)].filter { $0.0 > .zero }.map { position, kind in
            .with {
                $0.user = user
                $0.position = RelayPosition(position)
                $0.kind = kind
            }
        }
    }

    private func states(_ summary: ReceiptSummary) -> [RelayReceiptState] {
        var states = states(of: "", summary.lowest)
        for (index, state) in states.enumerated() {
            states[index].high = RelayPosition(state.kind == .read ? summary.highest.read : summary.highest.delivered)
        }
        return states
    }

    // MARK: Deletion

    func forget(_ user: String) { mirror.forget(user) }
    func forgetAll() { mirror = ReceiptMirror() }

    // MARK: Pushes

    func apply(_ update: ReceiptUpdate) {
        let summaryBefore = mirror.summary
        let moves = mirror.apply(update) { [listeners] in listeners[$0] != nil }
        guard !listeners.isEmpty else { return }
        for move in moves { tell(move) }
        if let summary = mirror.summary, summary != summaryBefore { tell(summary) }
    }

    /// A message of `receipt`'s user's inbox was confirmed that the owner of this one has sent.
    func tell(_ receipt: DirectReceipt) {
        let step = ReceiptStep(from: .none, to: receipt.positions)
        let frames = frames(of: receipt.user, step, in: NameRules.inbox(of: receipt.user))
        for sessions in listeners.values { push(frames, to: sessions) }
    }

    private func tell(_ move: ReceiptMirror.Move) {
        if let own = listeners[move.user] { push(frames(of: move.user, move.own, in: room), to: own) }
        guard !mirror.isSummarized, move.shown.isForward else { return }
        let frames = frames(of: move.user, move.shown, in: room)
        for (user, sessions) in listeners where user != move.user { push(frames, to: sessions) }
    }

    private func tell(_ summary: ReceiptSummary) {
        let frames = states(summary).map { state in
            frame(room, "", state.position, state.kind) { $0.high = state.high }
        }
        for sessions in listeners.values { push(frames, to: sessions) }
    }

    private func frames(of user: String, _ step: ReceiptStep, in room: String) -> [RelayServerFrame] {
        [(step.delivered, RelayReceiptKind.delivered), (step.read, .read)].compactMap { position, kind in
            position.map { frame(room, user, RelayPosition($0), kind) }
        }
    }

    private func frame(
        _ room: String, _ user: String, _ position: RelayPosition, _ kind: RelayReceiptKind,
        _ fill: (inout RelayReceiptChanged) -> Void = { _ in }
    ) -> RelayServerFrame {
        var receipt = RelayReceiptChanged.with {
            $0.room = room
            $0.user = user
            $0.position = position
            $0.kind = kind
        }
        fill(&receipt)
        return .with { $0.receipt = receipt }
    }

    private func push(_ frames: [RelayServerFrame], to sessions: [ObjectIdentifier: ClientSession]) {
        for session in sessions.values { for frame in frames { session.push(frame) } }
    }
}
