import MeshConfiguration
import MeshCore
import NIOCore
import Presence
import Rooms
import SwiftProtobuf
import Transport
import Wire

/// A room on one cell: its sessions there. The lowest level of the tree, and the fan-out path: what comes down is encoded once per encoding
/// into a batch that all subscribers are sent from.
final class LeafRoom {
    let name: String
    private unowned let cell: Cell
    private var uplink = Uplink<Int>()
    private var counts = InterestCount()

    /// Subscribers, and what they are sent, by format. Mostly there is one or two.
    private var lanes: [FanOutLane] = []
    private var batchedMessages: UInt64 = 0
    private var isQueued = false

    private var presenceListeners: [ObjectIdentifier: ClientSession] = [:]
    private var typingListeners: [ObjectIdentifier: ClientSession] = [:]
    private var watchers: [ObjectIdentifier: ClientSession] = [:]
    /// Somebody was told UNKNOWN and has not been told more since.
    private var owesWatchers = false
    /// Subscriptions and watches that wait for the state of the room.
    private var waiting: [Waiting] = []

    private(set) var head: Position = .zero
    /// As the hub last answered, for those who did not ask to be told about members.
    private var countAtJoin = 0
    private var mirror = MemberMirror()
    /// The count in the last push.
    private var toldCount = 0
    private var typing = TypingTable()

    private struct Waiting {
        var interest: Interest
        var since: Instant
        var proceed: (Bool) -> Void
    }

    init(name: String, cell: Cell) {
        self.name = name
        self.cell = cell
        _ = uplink.placed(.under(cell.hubCell(of: name)), relinked: false, now: Clock.now(), nextGeneration: cell.nextGeneration)
    }

    /// Nothing waits for a time to pass.
    var isSettled: Bool { uplink.isSettled && waiting.isEmpty && typing.isEmpty }
    var isIdle: Bool { counts.union.isEmpty && waiting.isEmpty && !uplink.isLive }
    var subscribers: Int { lanes.reduce(0) { $0 + $1.recipients.count } }

    // MARK: Interest

    func add(_ interest: Interest) {
        counts.add(interest)
        updateInterest()
    }

    func remove(_ interest: Interest) {
        counts.remove(interest)
        updateInterest()
    }

    private func updateInterest() {
        perform(uplink.want(counts.union, now: Clock.now(), nextGeneration: cell.nextGeneration))
        wake()
    }

    private func wake() { if !isSettled { cell.restlessLeaves[name] = self } }

    func tick(now: Instant) {
        perform(uplink.tick(now: now, linger: cell.context.timings.interestLinger, retry: .seconds(1), nextGeneration: cell.nextGeneration))
        expireWaiting(now: now)
        tell(typing.expire(now: now))
    }

    private func perform(_ action: Uplink<Int>.Action?) {
        switch action {
        case .join(let hub, let generation, let interest):
            sendUp(.join(generation: generation, interest: interest, fence: Fence(viewEpoch: 0, rosterVersion: 0)), to: hub)
        case .leave(let hub, let generation):
            sendUp(.leave(generation: generation), to: hub)
        case nil: break
        }
    }

    func sendUp(_ up: TreeUp, to hub: Int? = nil) {
        cell.post(.up(room: name, child: .cell(cell.index), up), to: hub ?? cell.hubCell(of: name))
    }

    /// Calls `proceed` once the state of the room for `interest` is known here: now, when the answer comes, or with false after the request
    /// deadline. The interest must have been added.
    func whenCovered(_ interest: Interest, _ proceed: @escaping (Bool) -> Void) {
        if uplink.covers(interest) { return proceed(true) }
        cell.restlessLeaves[name] = self
        waiting.append(Waiting(interest: interest, since: Clock.now(), proceed: proceed))
    }

    private func expireWaiting(now: Instant) {
        guard !waiting.isEmpty else { return }
        let deadline = cell.context.timings.requestDeadline
        let late = waiting.filter { now - $0.since >= deadline }
        waiting.removeAll { now - $0.since >= deadline }
        for entry in late { entry.proceed(false) }
    }

    private func proceedWaiting() {
        let ready = waiting.filter { uplink.covers($0.interest) }
        waiting.removeAll { uplink.covers($0.interest) }
        for entry in ready { entry.proceed(true) }
    }

    // MARK: Subscribers

    /// From the next message on, `connection` is sent everything. What is in the batch already is older than its `subscribed`.
    func addRecipient(_ connection: ClientConnection) {
        if isQueued { fanOut() }
        let lane = lanes.firstIndex { $0.format == connection.format } ?? addLane(connection.format)
        lanes[lane].recipients.append(Unmanaged.passUnretained(connection))
    }

    private func addLane(_ format: FrameFormat) -> Int {
        lanes.append(FanOutLane(format, deflater: cell.tools.deflater(for: format)))
        return lanes.count - 1
    }

    func removeRecipient(_ connection: ClientConnection) {
        guard let lane = lanes.firstIndex(where: { $0.format == connection.format }) else { return }
        lanes[lane].remove(connection)
        if lanes[lane].recipients.isEmpty, lanes[lane].batch.isEmpty { lanes.remove(at: lane) }
    }

    func listen(_ session: ClientSession, presence: Bool, typing: Bool) {
        presenceListeners[ObjectIdentifier(session)] = presence ? session : nil
        typingListeners[ObjectIdentifier(session)] = typing ? session : nil
    }

    /// - Parameter owesState: she was told UNKNOWN, so the state follows when it is known.
    func watch(_ session: ClientSession, _ on: Bool, owesState: Bool = false) {
        watchers[ObjectIdentifier(session)] = on ? session : nil
        if owesState { owesWatchers = true }
    }

    var members: [Member] { mirror.all }
    /// A root that is new has not heard everybody: who is not known may be there.
    var isSettling: Bool { mirror.isSettling }
    var memberCount: Int { uplink.covers(.presence) ? mirror.count : countAtJoin }
    var typingUsers: [String] { typing.users }
    func userState() -> (member: Member?, lastSeen: WallMilliseconds) {
        (NameRules.owner(ofInbox: name).flatMap { mirror.member($0) }, mirror.lastSeen)
    }

    // MARK: Down

    func received(_ down: TreeDown) {
        switch down {
        case .joined(let state): joined(state)
        case .refused(let generation): uplink.refused(generation: generation)
        case .delivery(let generation, let delivery):
            guard uplink.accepts(generation) else { return cell.drops.count(.staleGeneration) }
            deliver(delivery)
        case .members(let generation, let diff):
            guard uplink.accepts(generation) else { return }
            if let effect = mirror.apply(diff) { tell(effect) }
        case .memberList(let generation, let list):
            guard uplink.accepts(generation) else { return }
            reset(to: list, isSettling: false)
        case .typing(let generation, let changes):
            guard uplink.accepts(generation) else { return }
            tell(changes.compactMap { typing.set($0.user, active: $0.active, now: Clock.now(), ttl: typingTTL) })
            wake()
        case .presenceAsked, .hidden: break
        }
    }

    /// Longer than the root's, whose word normally comes first.
    private var typingTTL: TimeSpan { cell.context.timings.typingTTL + .seconds(2) }

    private func joined(_ state: RoomState) {
        guard uplink.joined(generation: state.generation) else { return cell.drops.count(.staleGeneration) }
        head = max(head, state.head ?? .zero)
        countAtJoin = state.count
        if uplink.covers(.presence) {
            reset(to: MemberList(members: state.members, count: state.count, lastSeen: state.lastSeen), isSettling: state.isSettling)
        }
        if uplink.covers(.typing) { tell(typing.reset(to: state.typing, now: Clock.now(), ttl: typingTTL)) }
        proceedWaiting()
        updateInterest()
    }

    private func reset(to list: MemberList, isSettling: Bool) {
        if let diff = mirror.reset(to: list, isSettling: isSettling) { tell(diff) }
        if owesWatchers, !isSettling { tellWatchers() }
    }

    private func deliver(_ delivery: Delivery) {
        if let gap = delivery.gap { push(gap) }
        for message in delivery.messages {
            if let position = message.position {
                guard position > head else {
                    cell.drops.count(.stalePosition)
                    continue
                }
                head = position
            }
            append(message)
        }
    }

    private func push(_ gap: Delivery.Gap) {
        head = max(head, gap.to)
        appendFrame { frame in
            frame.gap = .with {
                $0.room = name
                $0.from = .init(gap.from)
                $0.to = .init(gap.to)
            }
        }
    }

    // MARK: The fan-out path

    /// Encoded once for each encoding, whatever the framing of those who get it.
    private func append(_ message: RoomMessage) {
        var json = ByteBuffer()
        for lane in lanes.indices where !lanes[lane].recipients.isEmpty {
            let encoding = lanes[lane].format.encoding
            guard encoding == .json else {
                lanes[lane].batch.append { MessageBody.appendPush(message.body, encoding: encoding, to: &$0) }
                continue
            }
            if json.readableBytes == 0 {
                guard let decoded = MessageBody.decode(message.body) else {
                    cell.drops.count(.malformedFrame)
                    continue
                }
                json = cell.takeScratch()
                MessageJSON.append(decoded, to: &json)
            }
            lanes[lane].batch.append { $0.writeImmutableBuffer(json) }
        }
        if json.capacity > 0 { cell.giveBack(scratch: json) }
        batchedMessages += 1
        queue()
    }

    /// A frame that all message subscribers get, other than a message.
    private func appendFrame(_ fill: (inout RelayServerFrame) -> Void) {
        var frame = RelayServerFrame()
        fill(&frame)
        for lane in lanes.indices where !lanes[lane].recipients.isEmpty {
            let encoding = lanes[lane].format.encoding
            lanes[lane].batch.append { cell.encode(frame, encoding, into: &$0) }
        }
        queue()
    }

    private func queue() {
        guard !isQueued else { return }
        isQueued = true
        cell.queueFanOut(self)
    }

    func touchSubscribers(tick: UInt64) {
        for lane in lanes { lane.touch(tick: tick) }
    }

    /// Sends the batches. Nothing called from here can change the lists: a connection that fails or falls behind is put on the list of those to
    /// flush, or of the slow ones, and is ended after the walk.
    func fanOut() {
        guard isQueued else { return }
        isQueued = false
        for lane in lanes.indices where !lanes[lane].batch.isEmpty {
            lanes[lane].batch.seal()
            lanes[lane].deliver(queueingFlushesOn: cell)
            cell.figures.deliveries += batchedMessages * UInt64(lanes[lane].recipients.count)
            lanes[lane].batch.clear()
        }
        batchedMessages = 0
    }

    // MARK: Presence and typing

    private func tell(_ diff: MemberDiff) {
        var diff = diff
        if diff.isLarge { diff.updated = [] }
        if !presenceListeners.isEmpty, !diff.isEmpty || diff.count != toldCount {
            for part in diff.parts(entriesMax: MemberPublication.listMaxDefault) {
                var frame = RelayServerFrame()
                frame.roomPresence = .init(name, part)
                for session in presenceListeners.values { session.push(part, in: name, as: frame) }
            }
        }
        toldCount = diff.count
        tellWatchers()
    }

    private func tellWatchers() {
        owesWatchers = false
        guard !watchers.isEmpty, let user = NameRules.owner(ofInbox: name) else { return }
        var frame = RelayServerFrame()
        frame.userPresence = .init(user, mirror.member(user), lastSeen: mirror.lastSeen)
        tell(frame, watchers.values)
    }

    private func tell(_ changes: [TypingTable.Change]) {
        guard !typingListeners.isEmpty else { return }
        for change in changes {
            var frame = RelayServerFrame()
            frame.typing = .with {
                $0.room = name
                $0.user = change.user
                $0.active = change.active
            }
            tell(frame, typingListeners.values)
        }
    }

    private func tell(_ frame: RelayServerFrame, _ listeners: some Collection<ClientSession>) {
        for session in listeners { session.push(frame) }
    }
}
