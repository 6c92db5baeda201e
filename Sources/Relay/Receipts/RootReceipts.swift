import MeshConfiguration
import MeshCore
import NIOCore
import Presence
import Rooms
import Store
import Wire

/// The receipts of one room at its root: the ones that count. They are told to those who asked, written to the store once a second, and
/// counted against the log for `unread`.
final class RootReceipts {
    private unowned let hub: HubRoom
    private let cell: Cell
    private var table = ReceiptTable()
    private var unwritten = UnwrittenReceipts()
    /// The user whose inbox this is, and who wrote to her.
    private let owner: String?
    private var direct: DirectReceipts

    private var isLoaded = false
    private var isLoading = false
    private var askedAt: Instant?
    private var isSummarized = false
    /// Members came or went, so that the slowest may be another one.
    private var isSummaryStale = false
    private var wroteAt = Instant.zero
    private var summarizedAt = Instant.zero
    private var unheardAt = Instant.zero
    /// Between writes of a room, summaries of a large one, and repeats of what a sender did not hear.
    private static let pace = TimeSpan.seconds(1)
    /// A load that failed is not tried again at once.
    private static let loadRetry = TimeSpan.milliseconds(500)

    init(hub: HubRoom) {
        self.hub = hub
        cell = hub.cell
        owner = NameRules.owner(ofInbox: hub.name)
        direct = DirectReceipts(of: owner ?? "")
    }

    private var room: String { hub.name }
    private var store: any RegionStore { cell.store }
    private var isStoreUp: Bool { cell.storeKeeper.isUp }

    /// Nothing waits for a time to pass, or for the store.
    var isSettled: Bool { unwritten.isSettled && !isLoading && !table.hasChanges && !isSummaryStale && direct.isIdle }

    /// Up to where `user` has received the room, as far as it is known in memory.
    func delivered(_ user: String) -> Position { table.delivered(user) }

    // MARK: What was confirmed

    func merge(_ receipts: [Receipt]) {
        let head = hub.root?.knownHead
        for receipt in receipts { merge(receipt, head: head) }
        if let owner { direct.moved(to: table.shown(owner)) }
        if !unwritten.isEmpty { load() }
        publish()
        tellSenders()
        hub.wake()
    }

    private func merge(_ receipt: Receipt, head: Position?) {
        var receipt = receipt
        if let head { receipt.positions = receipt.positions.limited(to: head) }
        if let deleted = hub.deletion.upTo { receipt.positions = receipt.positions.beyond(deleted) }
        if hub.presence.table.isHidden(receipt.user) { receipt.owner.isHidden = true }
        guard case .moved(let forgotten) = table.merge(receipt) else { return }
        if forgotten > 0 { cell.drops.count(.receiptTableFull, forgotten) }
        unwritten.add(receipt)
    }

    // MARK: Down

    /// Everything, for a child that joins. What changed goes to the others first, so that its later frames fit.
    var whole: ReceiptUpdate {
        publish()
        return state(isWhole: true)
    }

    private func state(isWhole: Bool) -> ReceiptUpdate {
        guard isSummarized else { return ReceiptUpdate(isWhole: true, receipts: table.all) }
        return ReceiptUpdate(isWhole: isWhole, isSummarized: true, summary: summary)
    }

    private var summary: ReceiptSummary? {
        table.summary(of: hub.presence.table.members.map(\.user)) ?? table.summary(of: table.users)
    }

    /// Everybody's receipts at once in a small room, once a second in a large one.
    private func publish() {
        let wasSummarized = isSummarized
        chooseShape()
        if isSummarized != wasSummarized { return publishAnew() }
        guard table.hasChanges || isSummaryStale else { return }
        guard isSummarized else { return hub.receipts.tell(ReceiptUpdate(isWhole: false, receipts: table.takeChanges())) }
        let now = Clock.now()
        guard now - summarizedAt >= Self.pace else { return }
        summarizedAt = now
        isSummaryStale = false
        hub.receipts.tell(ReceiptUpdate(isWhole: false, isSummarized: true, receipts: table.takeChanges(), summary: summary))
    }

    private func publishAnew() {
        summarizedAt = Clock.now()
        isSummaryStale = false
        var update = state(isWhole: true)
        let changes = table.takeChanges()
        if isSummarized { update.receipts = changes }
        hub.receipts.tell(update)
    }

    /// Members came or went.
    func membersChanged() {
        isSummaryStale = isSummarized
        publish()
        hub.wake()
    }

    /// A room that shrinks is told in full again when it is well below the bound, so that it does not go to and fro.
    private func chooseShape() {
        let most = cell.context.limits.receiptUsersMax
        let users = max(hub.presence.table.count, table.count)
        isSummarized = isSummarized ? users > most * 3 / 4 : users > most
    }

    // MARK: The store

    /// Whether a join that asks for receipts can be answered. While the store is away the answer is what is known.
    var isReady: Bool {
        guard isStoreUp, !isLoaded else { return true }
        load()
        return false
    }

    private func load() {
        let now = Clock.now()
        guard isStoreUp, !isLoaded, !isLoading, askedAt.map({ now - $0 >= Self.loadRetry }) ?? true else { return }
        isLoading = true
        askedAt = now
        // Nothing is written before it is known what of it was deleted.
        let state = store.receipts(of: room).and(store.deletedUpTo(of: room))
        state.assumeIsolated().whenComplete { self.loaded($0) }
    }

    private func loaded(_ result: Result<([Receipt], Position?), any Error>) {
        isLoading = false
        hub.wake()
        guard case .success((let stored, let deleted)) = result else { return }
        isLoaded = true
        askedAt = nil
        hub.learned(deletedUpTo: deleted ?? .zero)
        for receipt in stored { _ = table.merge(receipt) }
        if let owner { direct.loaded(stored.first { $0.owner == ReceiptOwner(user: owner) }?.positions ?? .none) }
        publish()
        tellSenders()
        hub.answerChildren()
    }

    /// At most once a second, all that changed in one command. What could not be written is written again.
    private func write(now: Instant) {
        guard isStoreUp, isLoaded, now - wroteAt >= Self.pace, let batch = unwritten.begin() else { return }
        wroteAt = now
        cell.figures.receiptWrites += 1
        store.mergeReceipts(of: room, batch).assumeIsolated().whenComplete { self.wrote($0) }
    }

    private func wrote(_ result: Result<Void, any Error>) {
        unwritten.ended(isWritten: (try? result.get()) != nil)
        hub.wake()
    }

    /// The store may be another one, or have lost something: it is given everything that is known here, and asked for what it has.
    func storeAttached() {
        isLoaded = false
        askedAt = nil
        for receipt in table.all { unwritten.add(receipt) }
        if !unwritten.isEmpty { load() }
    }

    /// Another node is the root from now on. It loads what is stored and is told the rest by the hubs.
    func stepDown() {
        guard isStoreUp, isLoaded, let batch = unwritten.begin() else { return }
        cell.figures.receiptWrites += 1
        store.mergeReceipts(of: room, batch).assumeIsolated().whenFailure { [cell] _ in cell.drops.count(.storeMirrorSkipped) }
    }

    func tick(now: Instant) {
        if !unwritten.isEmpty { load() }
        write(now: now)
        publish()
        tellSenders()
    }

    // MARK: Deletion

    /// The store is asked to delete receipts: nothing is written until it has answered.
    func deletionBegan() { unwritten.deletionBegan() }
    func deletionEnded() { unwritten.deletionEnded() }

    func forget(_ user: String) {
        table.forget(user)
        unwritten.forget(user)
    }

    func forget(upTo position: Position) {
        table.forget(upTo: position)
        unwritten.forget(upTo: position)
    }

    func forgetAll() {
        table.removeAll()
        unwritten.forgetAll()
        direct = DirectReceipts(of: owner ?? "")
        direct.loaded(.none)
    }

    // MARK: Direct messages

    /// A message was appended to this inbox.
    func appended(_ position: Position, by sender: String) {
        if owner != nil { direct.appended(.init(position: position, sender: sender)) }
    }

    private func tellSenders() {
        guard owner != nil else { return }
        while isStoreUp, let missing = direct.advance() { read(missing) }
        cell.drops.count(.receiptUndelivered, direct.takeLost())
        let now = Clock.now()
        guard now - unheardAt >= Self.pace else { return }
        for word in direct.takeWords() { say(word) }
    }

    private func read(_ missing: DirectReceipts.Missing) {
        let limit = DirectReceipts.most
        store.read(room, after: missing.after, before: missing.upTo.successor, limit: limit, newest: true).assumeIsolated().whenComplete {
            self.haveRead($0, missing)
        }
    }

    private func haveRead(_ result: Result<[StoredMessage], any Error>, _ missing: DirectReceipts.Missing) {
        let sent = try? result.get().compactMap { message in
            MessageBody.decode(message.body).map { DirectReceipts.Sent(position: message.position, sender: $0.from) }
        }
        direct.read(sent, for: missing)
        if sent != nil { tellSenders() }
        hub.wake()
    }

    private func say(_ word: DirectReceipts.Word) {
        guard let owner else { return }
        let receipt = DirectReceipt(user: owner, positions: word.positions)
        cell.ask(NameRules.inbox(of: word.sender), .directReceipt(receipt), deadline: cell.context.timings.requestDeadline) { [weak self] in
            if case .done = $0 { return }
            self?.unheard(word)
        }
    }

    private func unheard(_ word: DirectReceipts.Word) {
        unheardAt = Clock.now()
        direct.failed(word)
        hub.wake()
    }

    // MARK: Unread

    func countUnread(of user: String, _ answer: @escaping (RootResponse.Answer) -> Void) {
        guard isStoreUp, let retention = hub.root?.retention else { return answer(.refused(RootRole.storeIsAway)) }
        let head = hub.root?.knownHead.map { cell.loop.makeSucceededFuture($0) } ?? store.head(of: room).map { $0 ?? .zero }
        let oldest = retention.read(after: nil, before: nil, limit: 1, newest: false).map(\.first?.position)
        let stored = store.receipts(of: room, user: user)
        head.and(oldest).and(stored).assumeIsolated().whenComplete { [self] result in
            guard case .success(((let head, let oldest), let stored)) = result else { return answer(.refused(RootRole.storeIsAway)) }
            let own = stored.merged(with: table.own(user))
            count(from: Unread.first(head: head, read: own.read, oldest: oldest), to: head) { count in
                answer(count.map { .unread(RoomUnread(count: $0, head: head, own: own)) } ?? .refused(RootRole.storeIsAway))
            }
        }
    }

    /// Calls `proceed` with nil if the store cannot say it.
    private func count(from first: Position?, to head: Position, _ proceed: @escaping (UInt64?) -> Void) {
        guard let first else { return proceed(0) }
        guard Unread.needsEpochs(from: first, to: head) else { return proceed(Unread.count(from: first, to: head, epochs: [])) }
        store.epochs(of: room).assumeIsolated().whenComplete { result in
            let epochs = try? result.get().map(EpochSpan.init)
            proceed(epochs.map { Unread.count(from: first, to: head, epochs: $0) })
        }
    }
}
