import MeshConfiguration
import MeshCore
import NIOCore
import Presence
import Rooms
import Store
import View
import Wire

/// What a hub does besides while its node is the root of the room: orders publishes through the log, answers requests, publishes presence
/// and keeps the region's store informed.
final class RootRole {
    private unowned let hub: HubRoom
    let cell: Cell
    private var log: RootLog<PendingAppend>
    private var order = PublisherOrder<PublisherStream>()
    private var queuedBytes = 0
    private var openedFence: Fence?
    /// An opening that failed is not tried again at once.
    private var openFailedAt: Instant?
    private static let openRetry = TimeSpan.milliseconds(500)
    /// The opening waits for its turn.
    private var isOpeningDue = false

    let presence: RootPresence
    // Made when they are first needed: most rooms are users' own, and quiet.
    private(set) lazy var retention = RootRetention(room: room, cell: cell)
    private var ownData: RootData?
    private(set) var ownReceipts: RootReceipts?
    private let isInbox: Bool
    /// For an inbox in a region that tells users without a session.
    private let pushes: InboxPushes?

    struct PublisherStream: Hashable, Sendable {
        var owner: NodeBoot
        var session: UInt64
    }

    /// A reference: it goes through queues and batches, and a copy of all that it holds would cost more than the rest of the way.
    final class PendingAppend {
        let request: RootRequest
        let ask: PublishAsk
        /// The message as it was last sent to the store.
        fileprivate(set) var stamped = ByteBuffer()

        init(request: RootRequest, ask: PublishAsk) {
            self.request = request
            self.ask = ask
        }

        var publication: Publication { ask.publication }
        var bytes: Int { publication.body.readableBytes }
        var stream: PublisherStream { PublisherStream(owner: request.origin, session: ask.session) }

        func stamp(_ at: WallMilliseconds) { stamped = MessageBody.stamped(publication.body, at: at) }

        /// The message at its place, made where it stands: the entry has had its outcome.
        func message(at position: Position) -> RoomMessage {
            MessageBody.appendPosition(position, to: &stamped)
            return RoomMessage(position: position, body: stamped)
        }
    }

    init(hub: HubRoom) {
        self.hub = hub
        cell = hub.cell
        // What is owed to the user of an inbox is known only when a batch has its outcome.
        isInbox = NameRules.owner(ofInbox: hub.name) != nil
        log = RootLog(batchesMax: isInbox ? 1 : 2)
        presence = RootPresence(hub: hub)
        pushes = InboxPushes(room: hub.name, cell: hub.cell) { [unowned hub] user in
            let delivered = hub.root?.ownReceipts?.delivered(user) ?? .zero
            return delivered == .zero ? nil : delivered
        }
        tellPresence()
    }

    /// Nil while the log was not opened.
    var knownHead: Position? { log.state == .open || log.state == .appending ? log.head : nil }
    var isIdle: Bool {
        log.isIdle && log.state != .opening && presence.isIdle && (ownData?.isIdle ?? true) && (ownReceipts?.isSettled ?? true)
    }
    var isSettled: Bool { isIdle && !presence.hasChanges && !needsLog }
    /// Somebody below follows the messages, so the log has to be open: what an earlier root has left there goes out then.
    private var needsLog: Bool { log.state == .closed && cell.storeKeeper.isUp && hub.children.interest.contains(.messages) }
    var receipts: RootReceipts {
        if let ownReceipts { return ownReceipts }
        let receipts = RootReceipts(hub: hub)
        ownReceipts = receipts
        return receipts
    }
    private var data: RootData {
        if let ownData { return ownData }
        let data = RootData(hub: hub)
        ownData = data
        return data
    }
    func membersChanged() { ownReceipts?.membersChanged() }

    var store: any RegionStore { cell.store }
    var room: String { hub.name }

    /// Another node is the root now: publishers have to ask there.
    func stepDown() {
        presence.stepDown()
        ownData?.stepDown()
        ownReceipts?.stepDown()
        refuse(log.giveUpAll(), Refusal(.notRoot, "the room's root has moved"))
    }

    /// Whether a join can be answered: the log's head is known if messages are wanted, and the members if presence is. While the store is
    /// down the answer is what is known.
    func isReady(for interest: Interest) -> Bool {
        guard cell.storeKeeper.isUp else { return true }
        if interest.contains(.presence), !presence.isReady { return false }
        if interest.contains(.messages), log.state != .open, log.state != .appending {
            openIfNeeded()
            return false
        }
        if interest.contains(.receipts) { return receipts.isReady }
        return true
    }

    // MARK: Requests

    func serve(_ request: RootRequest) {
        hub.used()
        defer { hub.queue() }
        switch request.ask {
        case .publish(let ask): publish(ask, request)
        case .history(let ask): readHistory(ask, request)
        case .members(let after, let limit): presence.listMembers(after: after, limit: limit, request)
        case .describe: describe(request)
        case .replay(let start): hub.replay(start, for: request)
        case .data(let ask): data.serve(ask, request)
        case .unread(let user): receipts.countUnread(of: user) { [cell] in cell.answer(request, $0) }
        case .directReceipt(let receipt):
            hub.receipts.tell(receipt)
            cell.answer(request, .done)
        case .pushDevice(let ask): changePushDevice(ask, request)
        }
    }

    private func publish(_ ask: PublishAsk, _ request: RootRequest) {
        switch ask.publication.durability {
        case .ephemeral: publishEphemeral(ask, request)
        case .home: enqueue(PendingAppend(request: request, ask: ask))
        case .mesh, .UNRECOGNIZED:
            cell.answer(request, .refused(Refusal(.unimplemented, "MESH durability is not available yet")))
        }
    }

    private func publishEphemeral(_ ask: PublishAsk, _ request: RootRequest) {
        let at = log.stamp(Clock.wall())
        let body = MessageBody.stamped(ask.publication.body, at: at)
        cell.figures.publishedEphemeral += 1
        hub.forward(Delivery(messages: [RoomMessage(position: nil, body: body)]))
        cell.answer(request, .published(position: nil, at: at, duplicate: false))
        stopTyping(ask.publication.user)
    }

    private func stopTyping(_ user: String) {
        if !hub.typing.isEmpty { hub.setTyping(user, active: false) }
    }

    private func enqueue(_ entry: PendingAppend) {
        guard cell.storeKeeper.isUp else {
            cell.drops.count(.storeUnavailable)
            return cell.answer(entry.request, .refused(Self.storeIsAway))
        }
        let limits = cell.context.limits
        guard log.queued < limits.publishQueuePerRoomMax, queuedBytes + entry.bytes <= limits.publishBytesPerRoomMax else {
            cell.drops.count(.publishQueueFull)
            return cell.answer(entry.request, .refused(Refusal(.exhausted, "the room's publish queue is full", retryAfterMs: 250)))
        }
        guard order.admit(entry.stream, number: entry.ask.number, base: entry.ask.base, now: Clock.now()) else {
            cell.drops.count(.outOfSequence)
            return cell.answer(entry.request, .refused(Refusal(.outOfSequence, "an earlier publish is missing")))
        }
        queuedBytes += entry.bytes
        log.enqueue(entry, bytes: entry.bytes, now: Clock.now())
    }

    /// At the end of a tick: what was published in it goes to the store as one batch.
    func flush() { pump() }

    // MARK: The log

    /// Without a store nothing is begun: it goes on when the store was attached again.
    private func pump() {
        while cell.storeKeeper.isUp, let action = log.next() { perform(action) }
    }

    private func perform(_ action: RootLog<PendingAppend>.Action) {
        switch action {
        case .open(let knownHead): open(knownHead)
        case .append(let entries, let before): append(entries, behind: before)
        }
    }

    @discardableResult
    private func open(_ knownHead: Position) -> EventLoopFuture<Void> {
        let attempt = log.currentAttempt
        guard let identity = cell.storeKeeper.identity else {
            log.failed(attempt: attempt)
            return cell.loop.makeSucceededVoidFuture()
        }
        let epoch = max(identity.epoch, cell.topology.view.epoch)
        openedFence = fence
        let request = OpenLog(fence: fence, incarnation: identity.incarnation, epoch: epoch, knownHead: knownHead)
        let opening = store.open(room, request).and(store.deletedUpTo(of: room))
        opening.assumeIsolated().whenComplete { self.opened($0, attempt) }
        return opening.map { _ in }
    }

    private var fence: Fence { cell.topology.fence(for: cell.context.region) }

    /// The log has to be opened under the new fence before the next append.
    func topologyChanged() {
        guard fence != openedFence else { return }
        openedFence = fence
        invalidateLog()
        pump()
        if needsLog { openIfNeeded() }
        hub.answerChildren()
    }

    private func invalidateLog() {
        log.invalidate()
        // The answer to a batch in flight will not be looked at.
        pushes?.appendFailed()
    }

    private func opened(_ result: Result<(OpenedLog, Position?), any Error>, _ attempt: UInt64) {
        switch result {
        case .success((let opened, let deleted)):
            openFailedAt = nil
            guard log.opened(head: opened.head, lastAt: opened.lastAt, attempt: attempt) else { return }
            hub.learned(deletedUpTo: deleted ?? .zero)
            hub.standAt(log.head)
            pump()
            hub.answerChildren()
        case .failure(let error):
            openFailedAt = Clock.now()
            failed(error, attempt)
        }
    }

    private func openIfNeeded() {
        let now = Clock.now()
        guard log.state == .closed, !isOpeningDue, cell.storeKeeper.isUp else { return }
        guard openFailedAt.map({ now - $0 >= Self.openRetry }) ?? true else { return }
        isOpeningDue = true
        cell.storeGate.run { [weak self, loop = cell.loop] in self?.openNow() ?? loop.makeSucceededVoidFuture() }
    }

    /// Its turn has come; a publish may have opened the log meanwhile.
    private func openNow() -> EventLoopFuture<Void> {
        isOpeningDue = false
        guard cell.storeKeeper.isUp, case .open(let knownHead)? = log.needHead() else { return cell.loop.makeSucceededVoidFuture() }
        return open(knownHead)
    }

    private func append(_ entries: [PendingAppend], behind before: UInt64?) {
        let attempt = log.currentAttempt
        let at = log.stamp(Clock.wall())
        let messages = entries.map { entry in
            entry.stamp(at)
            return AppendBatch.Entry(user: entry.publication.user, key: entry.publication.key, at: at, body: entry.stamped)
        }
        let batch = AppendBatch(
            fence: fence, messages: messages, retention: retention.retention,
            name: batchName(attempt), behind: before.map(batchName))
        if let pushes {
            // Whoever publishes to an inbox needs to know whether its user is there, as whoever looks at its members does.
            presence.load()
            pushes.willAppend(behind: log.head)
        }
        store.append(room, batch).assumeIsolated().whenComplete { self.appended($0, at: at, attempt) }
    }

    /// Attempts are numbered by each root of the room anew.
    private func batchName(_ attempt: UInt64) -> String { "\(cell.context.owner).\(attempt)" }

    private func appended(_ result: Result<[AppendOutcome], any Error>, at: WallMilliseconds, _ attempt: UInt64) {
        switch result {
        case .success(let outcomes):
            let oldHead = log.head
            let newHead = outcomes.reduce(oldHead) { max($0, $1.position ?? $0) }
            guard let entries = log.appended(newHead: newHead, now: Clock.now(), attempt: attempt) else { return }
            queuedBytes -= entries.reduce(0) { $0 + $1.bytes }
            cell.figures.appendBatches += 1
            guard pushes == nil else {
                // What is owed is queued, and its note taken back, before the next batch makes one of its own.
                announce(entries, outcomes, at: at, above: oldHead)
                return pump()
            }
            // The store works on the next batch while this one is announced.
            pump()
            announce(entries, outcomes, at: at, above: oldHead)
        case .failure(let error):
            failed(error, attempt)
        }
    }

    /// Fans out what is new in the order of positions and answers the publishers. A duplicate above the old head was appended by a try whose
    /// answer was lost: nobody has seen it yet.
    private func announce(_ entries: [PendingAppend], _ outcomes: [AppendOutcome], at: WallMilliseconds, above oldHead: Position) {
        var delivery = Delivery()
        var seenHead = oldHead
        delivery.messages.reserveCapacity(entries.count)
        for (entry, outcome) in zip(entries, outcomes) {
            switch outcome {
            case .appended(let position):
                cell.figures.publishedHome += 1
                delivery.messages.append(entry.message(at: position))
                if isInbox { receipts.appended(position, by: entry.publication.user) }
                seenHead = position
                cell.answer(entry.request, .published(position: position, at: at, duplicate: false))
            case .duplicate(let position, let firstAt):
                cell.figures.publishedDuplicate += 1
                if position > seenHead {
                    entry.stamp(firstAt)
                    delivery.messages.append(entry.message(at: position))
                    if isInbox { receipts.appended(position, by: entry.publication.user) }
                    seenHead = position
                }
                cell.answer(entry.request, .published(position: position, at: firstAt, duplicate: true))
            case .keysFull:
                order.failed(entry.stream, number: entry.ask.number)
                cell.drops.count(.publishQueueFull)
                cell.answer(
                    entry.request, .refused(Refusal(.exhausted, "the room remembers as many keys as it may", retryAfterMs: 5000)))
            }
        }
        hub.receive(delivery)
        pushes?.appended(delivery.messages.compactMap { message in message.position.map { ($0, message.body) } })
        if !hub.typing.isEmpty { for entry in entries { stopTyping(entry.publication.user) } }
    }

    private func failed(_ error: any Error, _ attempt: UInt64) {
        guard log.failed(attempt: attempt) else { return }
        pushes?.appendFailed()
        switch error as? StoreError {
        case .fenced(let standing):
            // A lower one is our own from before the roster changed: the log is opened anew.
            guard standing > fence else { return pump() }
            cell.drops.count(.fenced)
            refuse(log.giveUpAll(), Refusal(.notRoot, "the room was opened by a newer root"))
        case .notOpen:
            cell.storeLost()
        case .outOfOrder, .unavailable, .unexpectedReply, nil:
            break  // Tried again on the next tick, until the bound.
        }
    }

    static let storeIsAway = Refusal(.unavailable, "the region's store is not available", retryAfterMs: 1000)

    /// For entries that were taken out of the log.
    private func refuse(_ entries: [PendingAppend], _ refusal: Refusal) {
        guard !entries.isEmpty else { return }
        // They may have been appended, and the answer will not be looked at.
        pushes?.appendFailed()
        for entry in entries {
            order.failed(entry.stream, number: entry.ask.number)
            cell.answer(entry.request, .refused(refusal))
        }
        queuedBytes -= entries.reduce(0) { $0 + $1.bytes }
        if refusal.reason == .unavailable { cell.drops.count(.storeUnavailable, entries.count) }
    }

    /// The store is back, or is another one: nothing is assumed of what it holds.
    func storeAttached() {
        invalidateLog()
        presence.storeAttached()
        ownReceipts?.storeAttached()
        pump()
        if needsLog { openIfNeeded() }
        hub.answerChildren()
    }

    func tick(now: Instant) {
        let bound = cell.context.timings.storeDeadline
        refuse(
            log.giveUp(now: now, after: bound), Self.storeIsAway)
        pump()
        ownData?.tick(now: now)
        if needsLog { openIfNeeded() }
        hub.answerChildren()
        ownReceipts?.tick(now: now)
        presence.tick(now: now)
    }

    // MARK: History, description

    private func readHistory(_ ask: HistoryAsk, _ request: RootRequest) {
        retention.read(after: ask.after, before: ask.before, limit: ask.limit + 1, newest: ask.newest).assumeIsolated().whenComplete {
            self.haveRead($0, ask, request)
        }
    }

    private func haveRead(_ result: Result<[StoredMessage], any Error>, _ ask: HistoryAsk, _ request: RootRequest) {
        guard case .success(var stored) = result else {
            return cell.answer(request, .refused(Refusal(.unavailable, "the region's store is not available", retryAfterMs: 1000)))
        }
        var more = stored.count > ask.limit
        if more { if ask.newest { stored.removeFirst() } else { stored.removeLast() } }
        // In JSON, with base64, and some room for the frame around it.
        let bytesMax = cell.context.limits.maxServerFrameBytes * 7 / 8
        var bytes = 0
        var page: [RoomMessage] = []
        for entry in ask.newest ? stored.reversed() : stored {
            bytes += entry.body.readableBytes * 4 / 3 + 64
            guard bytes <= bytesMax || page.isEmpty else {
                more = true
                break
            }
            var body = entry.body
            MessageBody.appendPosition(entry.position, to: &body)
            page.append(RoomMessage(position: entry.position, body: body))
        }
        cell.answer(request, .history(ask.newest ? page.reversed() : page, more: more))
    }

    private func describe(_ request: RootRequest) {
        let description = RoomDescription(
            head: log.head, members: hub.presence.table.count, sessions: hub.presence.table.sessionsPerRegion(), logState: "\(log.state)")
        cell.answer(request, .description(description))
    }

    // MARK: Telling users without a session

    /// Somebody has come or gone.
    func tellPresence() { pushes?.presence(!hub.presence.table.isEmpty, head: knownHead) }

    /// What the store remembers of the members is known.
    func presenceLoaded() { pushes?.loaded(isPresent: !hub.presence.table.isEmpty, head: knownHead) }

    private func changePushDevice(_ ask: PushDeviceAsk, _ request: RootRequest) {
        guard let pushes else {
            return cell.answer(request, .refused(Refusal(.unimplemented, "notifications are not set up in the user's home")))
        }
        pushes.change(ask) { [cell] answer in cell.answer(request, answer) }
    }
}

extension AppendOutcome {
    var position: Position? {
        switch self {
        case .appended(let position), .duplicate(let position, _): position
        case .keysFull: nil
        }
    }
}
