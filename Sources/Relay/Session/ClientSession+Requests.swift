import MeshConfiguration
import MeshCore
import NIOCore
import Presence
import Rooms
import Session
import SwiftProtobuf
import Transport
import Wire

extension ClientSession {
    func handle(_ frame: RelayClientFrame, _ grants: Grants) {
        let id = frame.id
        do throws(RequestFault) {
            try dispatch(frame, id: id, grants)
        } catch {
            fail(id, error)
        }
    }

    private func dispatch(_ frame: RelayClientFrame, id: UInt32, _ grants: Grants) throws(RequestFault) {
        switch frame.frame {
        case .publish(let publish): try self.publish(publish, id: id, grants)
        case .subscribe(let subscribe): try self.subscribe(subscribe, id: id, grants)
        case .unsubscribe(let unsubscribe): try self.unsubscribe(unsubscribe.room, id: id)
        case .presence(let presence): try setPresence(presence, id: id)
        case .members(let ask): try listMembers(ask, id: id, grants)
        case .watch(let watch): try self.watch(watch.users, id: id, grants)
        case .unwatch(let unwatch): try self.unwatch(unwatch.users, id: id)
        case .typing(let typing): try setTyping(typing, id: id)
        case .history(let ask): try readHistory(ask, id: id, grants)
        case .ping: reply(id, .pong(.init()), always: true)
        case .goodbye: leaveByGoodbye()
        case .hello: throw RequestFault(code: .failedPrecondition, message: "hello was said already", drop: .invalidRequest)
        case .receipt(let receipt): try confirm(receipt, id: id, grants)
        case .unread(let ask): try countUnread(ask, id: id, grants)
        case .registerPush(let ask): try registerPush(ask, id: id)
        case .unregisterPush: unregisterPush(id: id)
        case .refresh: throw .unimplemented("refreshing a token is not available yet")
        case nil: throw .invalid("a frame must hold exactly one request")
        }
    }

    /// `ping` is answered also without an id: a `pong` says that the server lives.
    private func reply(_ id: UInt32, _ answer: RelayServerFrame.OneOf_Frame, always: Bool) {
        guard id == 0 else { return reply(id, answer) }
        var frame = RelayServerFrame()
        frame.frame = answer
        push(frame)
    }

    // MARK: Rules shared by requests

    func checkRoom(_ room: String) throws(RequestFault) {
        do throws(NameFault) {
            try NameCheck.room(room)
        } catch {
            throw .invalid("room: \(error)")
        }
    }

    func check(_ permission: Permission, in room: String, _ grants: Grants) throws(RequestFault) {
        try checkRoom(room)
        guard grants.allows(permission, in: room) else {
            throw .denied("the token does not allow to \(permission.rawValue) in \(room)")
        }
    }

    // MARK: Rooms

    private func subscribe(_ ask: RelaySubscribe, id: UInt32, _ grants: Grants) throws(RequestFault) {
        let interest = try interest(in: ask.room, presence: ask.presence, typing: ask.typing, receipts: ask.receipts, grants)
        guard subscriptions[ask.room] != nil || subscriptions.count < cell.context.limits.subscriptionsPerSessionMax else {
            throw RequestFault(code: .resourceExhausted, message: "a session may be in that many rooms only", drop: .invalidRequest)
        }
        let leaf = enter(ask.room, interest, from: ask.hasFrom ? try start(of: ask.from) : nil)
        leaf.whenCovered(interest) { [weak self] reached in
            if reached, let self, isNew(leaf), let start = subscriptions[leaf.name]?.start {
                return replay(leaf.name, from: start, .reply(id))
            }
            self?.whenReceiptsKnown(leaf, reached ? interest : []) {
                self?.subscribed(leaf, interest, id: id, reached: reached, receipts: $0)
            }
        }
    }

    /// What a session may hear in a room, of what it wants to.
    func interest(
        in room: String, presence: Bool, typing: Bool, receipts: Bool, _ grants: Grants
    ) throws(RequestFault) -> Interest {
        try check(.subscribe, in: room, grants)
        if presence { try check(.presence, in: room, grants) }
        var interest: Interest = [.messages]
        if presence { interest.insert(.presence) }
        if typing { interest.insert(.typing) }
        if receipts { interest.insert(.receipts) }
        return interest
    }

    private func start(of from: RelayFrom) throws(RequestFault) -> ReplayStart {
        switch from.start {
        case .position(let position): return .after(position.place)
        case .last(let count): return .last(Int(count))
        case nil: throw .invalid("from needs a position or last")
        }
    }

    /// Makes the session a member of the room, or changes what it is told there.
    ///
    /// - Parameter start: of those who enter. Whoever is in the room already has what is to be had, or waits for it: another replay would come
    ///   out of order.
    func enter(_ room: String, _ interest: Interest, from start: ReplayStart?) -> LeafRoom {
        let leaf = cell.leaf(room)
        let old = subscriptions[room]
        subscriptions[room] = Subscription(interest: interest, isLive: old?.isLive ?? false, start: old == nil ? start : old?.start)
        // Announced before the join, so that the members with which it is answered include her.
        if old == nil { present(in: room) }
        leaf.add(interest)
        if let old { leaf.remove(old.interest) }
        return leaf
    }

    /// Nothing of the room has been sent or asked for yet.
    func isNew(_ leaf: LeafRoom) -> Bool { subscriptions[leaf.name]?.isLive == false && catchUps[leaf.name] == nil }

    private func subscribed(_ leaf: LeafRoom, _ interest: Interest, id: UInt32, reached: Bool, receipts: [RelayReceiptState]) {
        guard !isEnded else { return }
        guard subscriptions[leaf.name] != nil else { return fail(id, Self.leftTooSoon) }
        guard reached else {
            if isNew(leaf) { leave(leaf.name) }
            return fail(id, .unavailable("the room's home cannot be reached now"))
        }
        if isNew(leaf) { feed(from: leaf) }
        listen(to: leaf)
        var subscribed = state(of: leaf, interest)
        subscribed.receipts = receipts
        reply(id, .subscribed(subscribed))
    }

    static let leftTooSoon = RequestFault.unavailable("the subscription ended before the room's home was reached")

    /// From now on the session gets what all get. One that reads too slowly as it is goes on with what is kept.
    func feed(from leaf: LeafRoom) {
        guard subscriptions[leaf.name]?.isLive == false else { return }
        subscriptions[leaf.name]?.isLive = true
        leaf.addRecipient(connection)
        if stage >= .pulling { fallBack(to: leaf) }
    }

    func listen(to leaf: LeafRoom) {
        if let interest = subscriptions[leaf.name]?.interest { leaf.listen(self, interest) }
    }

    func state(of leaf: LeafRoom, _ interest: Interest) -> RelaySubscribed {
        var members: [Member] = []
        var count = leaf.memberCount
        if interest.contains(.presence) {
            members = leaf.members
            awaitsOwnJoin.remove(leaf.name)
            if let own = ownMember, !members.contains(where: { $0.user == own.user }) {
                members.append(own)
                count += 1
                awaitsOwnJoin.insert(leaf.name)
            }
        }
        return .with {
            $0.room = leaf.name
            $0.head = RelayPosition(leaf.head ?? .zero)
            $0.recovered = false
            $0.replayed = 0
            $0.members = members.sorted { $0.user < $1.user }.prefix(MemberPublication.listMaxDefault).map(RelayMember.init)
            $0.memberCount = UInt32(max(count, members.count))
            $0.typing = interest.contains(.typing) ? leaf.typingUsers : []
        }
    }

    private func unsubscribe(_ room: String, id: UInt32) throws(RequestFault) {
        try checkRoom(room)
        leave(room)
        reply(id, .done(.init()))
    }

    // MARK: Members

    private static let membersPageMax = 1_000

    private func listMembers(_ ask: RelayListMembers, id: UInt32, _ grants: Grants) throws(RequestFault) {
        try check(.presence, in: ask.room, grants)
        let limit = ask.limit == 0 ? 100 : min(Int(ask.limit), Self.membersPageMax)
        cell.ask(ask.room, .members(after: ask.after, limit: limit), deadline: cell.context.timings.requestDeadline) { [weak self] answer in
            guard let self, !isEnded else { return }
            guard case .members(let members, let count, let next) = answer else { return failed(id, answer) }
            reply(
                id,
                .members(
                    .with {
                        $0.room = ask.room
                        $0.members = members.map(RelayMember.init)
                        $0.count = UInt32(count)
                        $0.next = next
                    }))
        }
    }

    func failed(_ id: UInt32, _ answer: RootResponse.Answer) {
        guard case .refused(let refusal) = answer else {
            return fail(id, RequestFault(code: .internal, message: "the room's root answered something else", drop: .protocolError))
        }
        fail(id, RequestFault(refusal))
    }

    // MARK: Watching users

    private func watch(_ users: [String], id: UInt32, _ grants: Grants) throws(RequestFault) {
        for user in users {
            do throws(NameFault) {
                try NameCheck.user(user)
            } catch {
                throw .invalid("user: \(error)")
            }
            guard grants.allows(.presence, in: NameRules.inbox(of: user)) else {
                throw .denied("the token does not allow to watch \(user)")
            }
        }
        let fresh = Set(users).subtracting(watched)
        guard watched.count + fresh.count <= cell.context.limits.watchedUsersPerSessionMax else {
            throw RequestFault(code: .resourceExhausted, message: "a session may watch 1,000 users at most", drop: .invalidRequest)
        }
        watched.formUnion(fresh)
        for user in fresh { cell.leaf(NameRules.inbox(of: user)).add(.presence) }
        answerWatch(users, id: id)
    }

    /// Answered when the state of all of them is known, or at a deadline with `UNKNOWN` for those whose home is out of reach.
    private func answerWatch(_ users: [String], id: UInt32) {
        let answer = WatchAnswer(users: users) { [weak self] states in
            guard let self, !isEnded else { return }
            reply(id, .watching(.with { $0.users = states }))
        }
        for user in users {
            let leaf = cell.leaf(NameRules.inbox(of: user))
            leaf.whenCovered(.presence) { [weak self] reached in
                let isKnown = reached && !leaf.isSettling
                if let self, watched.contains(user), !isEnded { leaf.watch(self, true, owesState: !isKnown) }
                answer.settle(user, isKnown ? .init(user, leaf.userState().member, lastSeen: leaf.userState().lastSeen) : nil)
            }
        }
        answer.finishIfDone()
    }

    private func unwatch(_ users: [String], id: UInt32) throws(RequestFault) {
        for user in users where watched.remove(user) != nil { stopWatching(user) }
        reply(id, .done(.init()))
    }

    func stopWatching(_ user: String) {
        keptBack?.forget(watched: user)
        guard let leaf = cell.leaves[NameRules.inbox(of: user)] else { return }
        leaf.watch(self, false)
        leaf.remove(.presence)
    }

    // MARK: Typing

    /// A client that repeats itself faster than this is not passed on.
    private static let typingRepeat = TimeSpan.seconds(2)

    private func setTyping(_ ask: RelaySetTyping, id: UInt32) throws(RequestFault) {
        try checkRoom(ask.room)
        guard subscriptions[ask.room] != nil else {
            throw RequestFault(code: .failedPrecondition, message: "typing needs a subscription to the room", drop: .invalidRequest)
        }
        let now = Clock.now()
        let last = typingIn[ask.room]
        let isRepeat = ask.active && last.map { now - $0 < Self.typingRepeat } ?? false
        if !isHidden, !isRepeat, ask.active || last != nil {
            cell.leaf(ask.room).sendUp(.typing(user: user, active: ask.active))
            typingIn[ask.room] = ask.active ? now : nil
        }
        reply(id, .done(.init()))
    }

    // MARK: History

    private static let historyLimitMax = 1_000

    private func readHistory(_ ask: RelayReadHistory, id: UInt32, _ grants: Grants) throws(RequestFault) {
        try check(.history, in: ask.room, grants)
        guard ask.limit <= UInt32(Self.historyLimitMax) else { throw .invalid("limit is at most 1000") }
        let history = HistoryAsk(
            after: ask.hasAfter ? ask.after.place : nil, before: ask.hasBefore ? ask.before.place : nil,
            limit: ask.limit == 0 ? 100 : Int(ask.limit), newest: !ask.hasAfter)
        cell.ask(ask.room, .history(history), deadline: cell.context.timings.requestDeadline) { [weak self] answer in
            guard let self, !isEnded else { return }
            guard case .history(let messages, let more) = answer else { return failed(id, answer) }
            reply(
                id,
                .history(
                    .with {
                        $0.room = ask.room
                        $0.messages = messages.compactMap { MessageBody.decode($0.body) }
                        $0.more = more
                    }))
        }
    }
}

/// Gathers the states of several users, some of which are known later than others.
final class WatchAnswer {
    private var missing: Set<String>
    private var states: [RelayUserState] = []
    private var done: (([RelayUserState]) -> Void)?

    init(users: [String], done: @escaping ([RelayUserState]) -> Void) {
        missing = Set(users)
        self.done = done
    }

    /// - Parameter presence: nil if the user's home is out of reach.
    func settle(_ user: String, _ presence: RelayUserPresence?) {
        guard missing.remove(user) != nil else { return }
        let unknown = RelayUserState.with {
            $0.user = user
            $0.status = .unknown
            $0.lastSeen = 0
            $0.devices = 0
        }
        states.append(presence.map(RelayUserState.init) ?? unknown)
        finishIfDone()
    }

    func finishIfDone() {
        guard missing.isEmpty, let done else { return }
        self.done = nil
        done(states.sorted { $0.user < $1.user })
    }
}
