import MeshConfiguration
import MeshCore
import Rooms
import Session
import SwiftProtobuf
import Wire

extension ClientSession {
    private static let unreadRoomsMax = 200

    // MARK: Confirming

    /// Answered when the cell has it: receipts are cumulative, and nobody has to wait for the store.
    func confirm(_ ask: RelaySendReceipt, id: UInt32, _ grants: Grants) throws(RequestFault) {
        try check(.subscribe, in: ask.room, grants)
        guard subscriptions[ask.room] != nil || ask.room == NameRules.inbox(of: user) else {
            throw RequestFault(code: .failedPrecondition, message: "a receipt needs a subscription to the room", drop: .invalidRequest)
        }
        guard ask.hasPosition else { throw .invalid("a receipt needs a position") }
        let positions = try positions(ask)
        if positions.delivered.mayExist(upTo: cell.leaves[ask.room]?.head ?? .zero) { return take(positions, in: ask.room, id: id) }
        askWhetherItExists(positions, in: ask.room, id: id)
    }

    private func positions(_ ask: RelaySendReceipt) throws(RequestFault) -> ReceiptPositions {
        switch ask.kind {
        case .delivered: ReceiptPositions(delivered: ask.position.place)
        case .read: ReceiptPositions(read: ask.position.place)
        case .UNRECOGNIZED: throw .invalid("kind must be DELIVERED or READ")
        }
    }

    private func take(_ positions: ReceiptPositions, in room: String, id: UInt32) {
        let owner = ReceiptOwner(user: user, isHidden: isHidden)
        cell.figures.receipts += 1
        cell.say(Receipt(owner, positions), in: room)
        noteRoomOfUser(room)
        reply(id, .done(.init()))
    }

    /// A position beyond what has come here may have been heard of elsewhere: the root knows.
    private func askWhetherItExists(_ positions: ReceiptPositions, in room: String, id: UInt32) {
        askUnread(room) { [weak self] answer in
            guard let self, !isEnded else { return }
            guard case .unread(let unread) = answer else { return failed(id, answer) }
            guard positions.delivered.mayExist(upTo: unread.head) else {
                return fail(id, .invalid("there is no message at \(positions.delivered) in \(room) yet"))
            }
            take(positions, in: room, id: id)
        }
    }

    // MARK: Subscribing

    /// Calls `proceed` with the receipts that `subscribed` lists. In a large room the user's own have to be asked for.
    func whenReceiptsKnown(
        _ leaf: LeafRoom, _ interest: Interest, _ proceed: @escaping ([RelayReceiptState]) -> Void
    ) {
        guard interest.contains(.receipts) else { return proceed([]) }
        guard leaf.receipts.lacks(user) else { return proceed(leaf.receipts.states(for: user)) }
        askUnread(leaf.name) { [weak self] answer in
            guard let self, !isEnded else { return }
            let own = if case .unread(let unread) = answer { unread.own } else { ReceiptPositions.none }
            proceed(leaf.receipts.states(for: user, own: own))
        }
    }

    // MARK: Unread

    func countUnread(_ ask: RelayAskUnread, id: UInt32, _ grants: Grants) throws(RequestFault) {
        let rooms = ask.rooms.isEmpty ? Array(subscriptions.keys) + [NameRules.inbox(of: user)] : ask.rooms
        var seen: Set<String> = []
        let wanted = rooms.filter { seen.insert($0).inserted }
        guard wanted.count <= Self.unreadRoomsMax else { throw .invalid("unread counts at most \(Self.unreadRoomsMax) rooms at once") }
        for room in wanted { try checkUnread(room, grants) }
        let gathering = UnreadAnswer(rooms: wanted) { [weak self] result in
            guard let self, !isEnded else { return }
            switch result {
            case .success(let rooms): reply(id, .unread(.with { $0.rooms = rooms }))
            case .failure(let fault): fail(id, fault)
            }
        }
        for room in wanted { askUnread(room) { gathering.settle(room, $0) } }
    }

    /// Whoever follows a room or may read its log may know how much of it there is.
    private func checkUnread(_ room: String, _ grants: Grants) throws(RequestFault) {
        try checkRoom(room)
        if !grants.allows(.subscribe, in: room) { try check(.history, in: room, grants) }
    }

    private func askUnread(_ room: String, _ completion: @escaping RequestTable.Completion) {
        cell.ask(room, .unread(user: user), deadline: cell.context.timings.requestDeadline, completion)
    }
}

/// Gathers the counts of several rooms. One that cannot be had fails them all: a client would take a room that is left out for read.
final class UnreadAnswer {
    private let rooms: [String]
    private var counts: [String: RelayRoomUnread] = [:]
    private var done: ((Result<[RelayRoomUnread], RequestFault>) -> Void)?

    /// - Parameter rooms: each once, and at least one; answered in this order.
    init(rooms: [String], done: @escaping (Result<[RelayRoomUnread], RequestFault>) -> Void) {
        self.rooms = rooms
        self.done = done
    }

    func settle(_ room: String, _ answer: RootResponse.Answer) {
        switch answer {
        case .unread(let unread):
            counts[room] = .with {
                $0.room = room
                $0.count = unread.count
                $0.head = RelayPosition(unread.head)
            }
            if counts.count == rooms.count { finish(.success(rooms.compactMap { counts[$0] })) }
        case .refused(let refusal): finish(.failure(RequestFault(refusal)))
        default:
            finish(.failure(RequestFault(code: .internal, message: "the room's root answered something else", drop: .protocolError)))
        }
    }

    private func finish(_ result: Result<[RelayRoomUnread], RequestFault>) {
        guard let done else { return }
        self.done = nil
        done(result)
    }
}
