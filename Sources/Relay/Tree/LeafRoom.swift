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
    /// Whether nothing but ephemeral messages is in the batch.
    private var isBatchEphemeral = true
    private var isQueued = false

    private var presenceListeners: [ObjectIdentifier: ClientSession] = [:]
    private var typingListeners: [ObjectIdentifier: ClientSession] = [:]
    private var watchers: [ObjectIdentifier: ClientSession] = [:]
    /// Somebody was told UNKNOWN and has not been told more since.
    private var owesWatchers = false
    /// Subscriptions and watches that wait for the state of the room.
    private var waiting: [Waiting] = []

    /// The last position that went out to the subscribers here. Nil while nobody knows where the room stands.
    private(set) var head: Position?
    private var ownReader: RoomReader?
    /// As the hub last answered, for those who did not ask to be told about members.
    private var countAtJoin = 0
    private var mirror = MemberMirror()
    /// The count in the last push.
    private var toldCount = 0
    private var typing = TypingTable()
    let receipts: LeafReceipts

    private struct Waiting {
        var interest: Interest
        var since: Instant
        var proceed: (Bool) -> Void
    }

    init(name: String, cell: Cell) {
        self.name = name
        self.cell = cell
        receipts = LeafReceipts(room: name)
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

    // MARK: Earlier messages

    /// Made when the first message passes or somebody asks for one: most rooms of a node have no use for it.
    var reader: RoomReader {
        if let ownReader { return ownReader }
        let reader = RoomReader(cell: cell) { [unowned self] start, _, completion in
            cell.ask(name, .replay(start), deadline: cell.context.timings.requestDeadline) { completion($0.replay) }
        }
        ownReader = reader
        return reader
    }

    func forgetEarlier() { ownReader?.forget() }
    func expireTail(now: Instant) { ownReader?.expireTail(now: now) }

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

    func listen(_ session: ClientSession, _ interest: Interest) {
        presenceListeners[ObjectIdentifier(session)] = interest.contains(.presence) ? session : nil
        typingListeners[ObjectIdentifier(session)] = interest.contains(.typing) ? session : nil
        receipts.listen(session, interest.contains(.receipts))
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
        case .head(let generation, let head):
            guard uplink.accepts(generation) else { return }
            standAt(head)
        case .deleted(let generation, let deletion):
            guard uplink.accepts(generation) else { return cell.drops.count(.staleGeneration) }
            deleted(deletion)
        case .receipts(let generation, let update):
            if uplink.accepts(generation) { receipts.apply(update) }
        case .directReceipt(let generation, let receipt):
            if uplink.accepts(generation) { receipts.tell(receipt) }
        case .presenceAsked, .hidden: break
        }
    }

    /// What was fed here before ends earlier, or was never fed: nobody here waits for what lies between, but to read it.
    private func standAt(_ newHead: Position) {
        guard newHead > head ?? .zero || head == nil else { return }
        head = newHead
        ownReader?.begin(at: newHead)
    }

    /// Longer than the root's, whose word normally comes first.
    private var typingTTL: TimeSpan { cell.context.timings.typingTTL + .seconds(2) }

    private func joined(_ state: RoomState) {
        let wasFed = uplink.covers(.messages)
        guard uplink.joined(generation: state.generation) else { return cell.drops.count(.staleGeneration) }
        if let head = state.head {
            standAt(head)
        } else if !wasFed {
            // Where the room stood when somebody followed it last is not where it stands.
            head = nil
            forgetEarlier()
        }
        countAtJoin = state.count
        if uplink.covers(.presence) {
            reset(to: MemberList(members: state.members, count: state.count, lastSeen: state.lastSeen), isSettling: state.isSettling)
        }
        if uplink.covers(.receipts), let whole = state.receipts { receipts.apply(whole) }
        if uplink.covers(.typing) { tell(typing.reset(to: state.typing, now: Clock.now(), ttl: typingTTL)) }
        proceedWaiting()
        updateInterest()
    }

    private func reset(to list: MemberList, isSettling: Bool) {
        if let diff = mirror.reset(to: list, isSettling: isSettling) { tell(diff) }
        if owesWatchers, !isSettling { tellWatchers() }
    }

    private func deliver(_ delivery: Delivery) {
        if delivery.isOrdered { reader.passed(delivery) }
        if let gap = delivery.gap { push(gap) }
        for message in delivery.messages {
            if let position = message.position {
                guard position > head ?? .zero else {
                    cell.drops.count(.stalePosition)
                    continue
                }
                head = position
            }
            append(message)
        }
    }

    /// What was sent before the deletion goes out first.
    private func deleted(_ deletion: RoomDeletion) {
        fanOut()
        ownReader?.forget()
        standAt(deletion.upTo)
        receipts.forgetAll()
        if deletion.endsUser {
            mirror.forgetLastSeen()
            tellWatchers()
        }
        cell.endSubscriptions(to: name)
    }

    private func push(_ gap: Delivery.Gap) {
        head = max(head ?? .zero, gap.to)
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
        if message.position != nil { isBatchEphemeral = false }
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
        isBatchEphemeral = false
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
            lanes[lane].deliver(isEphemeral: isBatchEphemeral, queueingFlushesOn: cell)
            cell.figures.deliveries += batchedMessages * UInt64(lanes[lane].recipients.count)
            lanes[lane].batch.clear()
        }
        batchedMessages = 0
        isBatchEphemeral = true
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
        let frame = userPresence(of: user)
        for session in watchers.values { session.push(frame, watched: user) }
    }

    func userPresence(of user: String) -> RelayServerFrame {
        .with { $0.userPresence = .init(user, mirror.member(user), lastSeen: mirror.lastSeen) }
    }

    private func tell(_ changes: [TypingTable.Change]) {
        guard !typingListeners.isEmpty else { return }
        for change in changes {
            let frame = typingFrame(change)
            for session in typingListeners.values { session.push(frame, room: name, typist: change.user) }
        }
    }

    func typingFrame(_ change: TypingTable.Change) -> RelayServerFrame {
        .with {
            $0.typing = .with {
                $0.room = name
                $0.user = change.user
                $0.active = change.active
            }
        }
    }
}
