import MeshConfiguration
import MeshCore
import NIOCore
import Presence
import Rooms
import View
import Wire

/// A room on the cell that is its hub in this node: every level between the cells and the root, collapsed into one where they fall on one
/// node. What it does above its children depends on where the topology places it: under another node, or as the root.
final class HubRoom {
    let name: String
    unowned let cell: Cell
    /// Set while this node is the root of the room.
    private(set) var root: RootRole?

    private var uplink = Uplink<NodeID>()
    private(set) var children = Children<ChildID>()
    private var feed: OrderedFeed<RoomMessage>
    private(set) lazy var presence = HubPresence(hub: self)
    private(set) var typing = TypingTable()
    /// Nil before anybody below confirms or counts anything: most rooms are users' own, and quiet.
    private var ownReceipts: HubReceipts?
    private var isQueued = false
    private var fetching: Fetch?
    private var heads = HeadAnnouncer()
    private(set) var deletion = DeletionMark()
    private var ownReader: RoomReader?
    private var usedAt = Clock.now()

    init(name: String, cell: Cell) {
        self.name = name
        self.cell = cell
        feed = Self.makeFeed(cell)
    }

    /// A feed that nobody below follows and nothing flows into is forgotten: whoever comes next starts at the head of that moment.
    private func forgetFeedIfUnfollowed() {
        guard root == nil, feed.head != nil, !uplink.covers(.messages), !children.interest.contains(.messages) else { return }
        feed = Self.makeFeed(cell)
        forgetEarlier()
    }

    func forgetEarlier() { ownReader?.forget() }
    func expireTail(now: Instant) { ownReader?.expireTail(now: now) }

    /// Made when the first message passes or somebody asks for one: most rooms of a node have no use for it.
    private var reader: RoomReader {
        if let ownReader { return ownReader }
        let reader = RoomReader(cell: cell) { [unowned self] in askAbove($0, hops: $1, $2) }
        ownReader = reader
        return reader
    }

    private static func makeFeed(_ cell: Cell) -> OrderedFeed<RoomMessage> {
        OrderedFeed(heldMax: cell.context.limits.tailMessagesMax)
    }

    var parent: NodeID? { uplink.parent }
    var place: Uplink<NodeID>.Place { uplink.place }

    /// Nothing waits for a time to pass.
    var isSettled: Bool {
        uplink.isSettled && !presence.hasLost && typing.isEmpty && fetching == nil && heads.isQuiet && !children.hasUnanswered
            && (root?.isSettled ?? true)
    }

    func wake() { if !isSettled { cell.restlessHubs[name] = self } }

    /// Nobody needs this level any more: no child, nobody present, nothing under way.
    func isIdle(now: Instant) -> Bool {
        children.isEmpty && presence.isEmpty && (ownReceipts?.isIdle ?? true) && fetching == nil && ownReader?.isSettled ?? true
            && (root?.isIdle ?? true)
            && now - usedAt >= .seconds(30)
    }

    // MARK: Place

    /// Computes the parent anew. `relinked`: the link to it came up again, so everything is announced and asked for again.
    func place(relinked: Bool) {
        let place = Uplink<NodeID>.Place(cell.topology.parent(of: cell.context.node, for: name))
        if place != .root { stepDown() }
        root?.topologyChanged()
        letGoOfForeignChildren()
        guard place != uplink.place || relinked else { return }
        // Before the join, so that the members with which it is answered include those below.
        if case .under(let parent) = place {
            presence.announceAll(to: parent)
            ownReceipts?.repeatAll(to: parent)
        }
        let actions = uplink.placed(place, relinked: relinked, now: Clock.now(), nextGeneration: cell.nextGeneration)
        actions.forEach(perform)
        if place == .root, root == nil {
            let root = RootRole(hub: self)
            self.root = root
            if let ownReceipts { root.receipts.merge(ownReceipts.all) }
        }
        updateInterest()
        answerChildren()
        wake()
    }

    private func stepDown() {
        root?.stepDown()
        root = nil
    }

    /// Nodes that hang elsewhere under the newest topology. What they announced is heard there soon, or they are gone.
    private func letGoOfForeignChildren() {
        for child in presence.table.sources.union(children.all) {
            guard case .node(let node) = child, cell.topology.parent(of: node, for: name) != .node(cell.context.node) else { continue }
            _ = children.lost(child)
            presence.lost(child, now: Clock.now())
        }
    }

    private func perform(_ action: Uplink<NodeID>.Action) {
        switch action {
        case .join(let parent, let generation, let interest):
            let fence = Fence(viewEpoch: cell.topology.view.epoch, rosterVersion: cell.topology.fence(for: parent.region).rosterVersion)
            cell.send(TreeCodec.frame(name, .join(generation: generation, interest: interest, fence: fence)), to: parent)
        case .leave(let parent, let generation):
            cell.send(TreeCodec.frame(name, .leave(generation: generation)), to: parent)
        }
    }

    func used() { usedAt = Clock.now() }

    private func updateInterest() {
        used()
        if let action = uplink.want(children.interest, now: usedAt, nextGeneration: cell.nextGeneration) { perform(action) }
    }

    func tick(now: Instant) {
        let timings = cell.context.timings
        if let action = uplink.tick(
            now: now, linger: timings.interestLinger, retry: .milliseconds(500), nextGeneration: cell.nextGeneration)
        {
            perform(action)
        }
        forgetFeedIfUnfollowed()
        if presence.hasLost { presence.expire(now: now) }
        retryFetch(now: now)
        if heads.takeDue(now: now) { announceHead() }
        if !typing.isEmpty { change(typing.expire(now: now)) }
        root?.tick(now: now)
    }

    func linkLost(_ node: NodeID) {
        if uplink.parent == node { uplink.unlink() }
        presence.lost(.node(node), now: Clock.now())
        if children.lost(.node(node)) { updateInterest() }
        wake()
    }

    // MARK: From below

    func received(_ up: TreeUp, from child: ChildID) {
        switch up {
        case .join(let generation, let interest, _): join(child, generation: generation, interest: interest)
        case .leave(let generation):
            if children.leave(child, generation: generation) { updateInterest() }
        case .members(let upserted, let removed): presence.changeOwned(upserted, removed)
        case .announce(let parts): presence.announced(parts, by: child)
        case .typing(let user, let active): typingIntent(user, active: active)
        case .receipts(let said): receipts.received(said)
        }
        wake()
    }

    /// A node that is not the child's parent under what this node knows refuses; the child computes again and asks again.
    private func join(_ child: ChildID, generation: UInt64, interest: Interest) {
        if case .node(let node) = child, cell.topology.parent(of: node, for: name) != .node(cell.context.node) {
            presence.lost(child, now: Clock.now())
            cell.send(TreeCodec.frame(name, .refused(generation: generation)), to: node)
            return
        }
        guard children.join(child, generation: generation, interest: interest) else { return cell.drops.count(.staleGeneration) }
        updateInterest()
        answerChildren()
    }

    private func covers(_ interest: Interest) -> Bool {
        if let root { return root.isReady(for: interest) }
        return uplink.covers(interest)
    }

    /// Answers every join that can be answered now. Presence is published first, so that the list and the diffs that follow fit.
    func answerChildren() {
        // `covers` may ask the store, which may answer at once and come back here: so nothing is held while it is asked.
        for join in children.unanswered where covers(join.interest) && children.answered(join.child, generation: join.generation) {
            if join.interest.contains(.presence) { root?.presence.publishNow() }
            if join.interest.contains(.messages), feed.head == nil, let head = root?.knownHead { standAt(head) }
            tell(join.child, .joined(state(join.generation, join.interest)))
        }
    }

    private func state(_ generation: UInt64, _ interest: Interest) -> RoomState {
        var state = RoomState(generation: generation, head: feed.head, deletedUpTo: deletion.upTo)
        presence.fill(&state, interest, isCovered: uplink.covers(.presence))
        if interest.contains(.typing) { state.typing = typing.users }
        if interest.contains(.receipts) { state.receipts = receipts.whole }
        return state
    }

    // MARK: From above

    func received(_ down: TreeDown, from parent: NodeID) {
        guard uplink.parent == parent else { return cell.drops.count(.staleGeneration) }
        switch down {
        case .joined(let state): joined(state)
        case .refused(let generation): uplink.refused(generation: generation)
        case .delivery(let generation, let delivery) where uplink.accepts(generation): receive(delivery)
        case .members(let generation, let diff) where uplink.accepts(generation):
            presence.received(diff)
        case .memberList(let generation, let list) where uplink.accepts(generation):
            presence.received(list, isSettling: false)
        case .typing(let generation, let changes) where uplink.accepts(generation):
            change(changes.compactMap { typing.set($0.user, active: $0.active, now: Clock.now(), ttl: mirrorTypingTTL) })
        case .receipts(let generation, let update) where uplink.accepts(generation): receipts.apply(update)
        case .directReceipt(let generation, let receipt) where uplink.accepts(generation): receipts.tell(receipt)
        case .presenceAsked: presence.announceAll(to: parent)
        case .hidden(let isHidden): presence.hidden(isHidden)
        case .head(let generation, let head) where uplink.accepts(generation): standAt(head)
        case .deleted(let generation, let deletion) where uplink.accepts(generation): deleted(deletion)
        case .delivery, .members, .memberList, .typing, .deleted, .receipts, .directReceipt, .head:
            cell.drops.count(.staleGeneration)
        }
        wake()
    }

    private var mirrorTypingTTL: TimeSpan { cell.context.timings.typingTTL + .seconds(2) }

    private func joined(_ state: RoomState) {
        guard uplink.joined(generation: state.generation) else { return cell.drops.count(.staleGeneration) }
        forgetFeedIfUnfollowed()
        learned(deletedUpTo: state.deletedUpTo)
        if uplink.covers(.messages), let head = state.head { standAt(head) }
        presence.joined(state, covers: uplink.covers(.presence))
        if uplink.covers(.receipts), let whole = state.receipts { receipts.apply(whole) }
        if uplink.covers(.typing) { change(typing.reset(to: state.typing, now: Clock.now(), ttl: mirrorTypingTTL)) }
        answerChildren()
        updateInterest()
    }

    // MARK: Messages

    /// The level above stands at `head`, or the log was opened anew there. What is missing here up to it is fetched: also what an append
    /// whose answer was lost has left in the log.
    func standAt(_ head: Position) {
        let knewHead = feed.head != nil
        if let hole = feed.joined(head: head) { return fetch(hole) }
        guard !knewHead else { return }
        ownReader?.begin(at: head)
        // Those who were answered before it was known.
        tellAll(.messages) { .head(generation: $0, head) }
    }

    private func announceHead() {
        guard let head = feed.head else { return }
        children.forEach(wanting: .messages) { child, generation in
            if case .node = child { tell(child, .head(generation: generation, head)) }
        }
    }

    /// From the level above, or from this node's own log if it is the root: a level that changes its place goes on where it stood.
    func receive(_ delivery: Delivery) {
        var onward = Delivery()
        if let gap = delivery.gap {
            switch feed.skipped(from: gap.from, to: gap.to) {
            case .announce(let from): onward.gap = .init(from: from, to: gap.to)
            case .stale: cell.drops.count(.stalePosition)
            case .held: break
            case .fetch(let hole): fetch(hole)
            }
        }
        for message in delivery.messages {
            guard let position = message.position else {
                onward.messages.append(message)
                continue
            }
            switch feed.receive(position, message) {
            case .deliver: onward.messages.append(message)
            case .stale: cell.drops.count(.stalePosition)
            case .held: break
            case .fetch(let hole): fetch(hole)
            }
        }
        forward(onward)
    }

    /// A delivery is cut at this size, so that it fits into a frame of a link.
    private static let deliveryBytesGoal = 1 << 20

    /// One copy to each child that wants messages.
    func forward(_ delivery: Delivery) {
        guard delivery.gap != nil || !delivery.messages.isEmpty else { return }
        if delivery.isOrdered {
            reader.passed(delivery)
            heads.changed(now: Clock.now())
            wake()
        }
        for part in delivery.parts(bytesGoal: Self.deliveryBytesGoal) { tellAll(.messages) { .delivery(generation: $0, part) } }
    }

    /// A hole that is being asked for. While nobody can answer it is asked for again: what cannot be had now is not lost.
    private struct Fetch {
        var hole: OrderedFeed<RoomMessage>.Hole
        var begunAt: Instant
        /// Nil while a request is under way.
        var refusedAt: Instant?
    }

    private static let fetchRetry = TimeSpan.milliseconds(500)
    /// Past it the hole is announced as a gap; what comes after it has waited long enough.
    private static let fetchBound = TimeSpan.seconds(15)

    private func fetch(_ hole: OrderedFeed<RoomMessage>.Hole) {
        guard fetching == nil else { return }
        fetching = Fetch(hole: hole, begunAt: Clock.now())
        ask(for: hole)
    }

    /// Asks the level above, or the log, for what is missing here.
    private func ask(for hole: OrderedFeed<RoomMessage>.Hole) {
        askAbove(.after(hole.after), hops: 0) { [weak self] in self?.fetched($0, for: hole) }
    }

    private func fetched(_ answer: RoomReader.Answer, for hole: OrderedFeed<RoomMessage>.Hole) {
        guard case .success(let page) = answer else { return fetchRefused() }
        let isComplete = page.reached >= hole.before || page.reached.isFollowed(by: hole.before)
        // Whoever answered may be behind as well.
        guard isComplete || !page.items.isEmpty else { return fetchRefused() }
        fetching = nil
        let (output, next) = feed.fetched(page.messages, for: hole, more: !isComplete)
        forward(output)
        if let next { fetch(next) }
    }

    private func askAbove(_ start: ReplayStart, hops: Int, _ completion: @escaping RoomReader.Completion) {
        if let root { return root.replay(start, completion) }
        cell.askAbove(name, start, hops: hops) { completion($0.replay) }
    }

    /// Somebody below missed messages.
    func replay(_ start: ReplayStart, for request: RootRequest) {
        used()
        reader.read(start, hops: request.hops) { [cell] in cell.answer(request, .init($0)) }
    }

    private func fetchRefused() {
        let now = Clock.now()
        if let fetching, now - fetching.begunAt < Self.fetchBound {
            self.fetching?.refusedAt = now
            return wake()
        }
        fetching = nil
        forward(feed.gaveUp())
    }

    private func retryFetch(now: Instant) {
        guard let fetching, let refusedAt = fetching.refusedAt, now - refusedAt >= Self.fetchRetry else { return }
        self.fetching?.refusedAt = nil
        ask(for: fetching.hole)
    }

    private func forward(_ outputs: [OrderedFeed<RoomMessage>.Output]) {
        var delivery = Delivery()
        for output in outputs {
            switch output {
            case .message(_, let message): delivery.messages.append(message)
            case .gap(let from, let to):
                forward(delivery)
                delivery = Delivery(gap: .init(from: from, to: to))
            }
        }
        forward(delivery)
    }

    /// The level above, or the store, has said how far the room was deleted: what was missed of it is made up for.
    func learned(deletedUpTo position: Position?) {
        let isMissed = deletion.learned(position)
        if let position, isMissed, feed.head != nil {
            deleted(RoomDeletion(upTo: position, endsUser: NameRules.owner(ofInbox: name) != nil))
        } else if let position {
            ownReceipts?.forget(upTo: position)
            root?.ownReceipts?.forget(upTo: position)
        }
    }

    /// Messages up to a position were deleted: what is kept or awaited of them is forgotten, here and below.
    func deleted(_ deletion: RoomDeletion) {
        _ = self.deletion.learned(deletion.upTo)
        forward(feed.forget(upTo: deletion.upTo))
        forgetEarlier()
        if deletion.endsUser { presence.forgetLastSeen() }
        ownReceipts?.forgetAll()
        root?.ownReceipts?.forgetAll()
        // Whatever they are interested in.
        tellAll([]) { .deleted(generation: $0, deletion) }
    }

    func queue() {
        guard !isQueued else { return }
        isQueued = true
        cell.queueFlush(self)
    }

    /// At the end of a tick: what changed below goes up.
    func flush() {
        presence.flush()
        isQueued = false
        ownReceipts?.flush()
        root?.flush()
        wake()
    }

    // MARK: Receipts

    var receipts: HubReceipts {
        if let ownReceipts { return ownReceipts }
        let receipts = HubReceipts(hub: self)
        ownReceipts = receipts
        return receipts
    }

    func forgetReceipts(of user: String) {
        ownReceipts?.forget(user)
        root?.ownReceipts?.forget(user)
    }

    // MARK: Typing

    private func typingIntent(_ user: String, active: Bool) {
        if root != nil { return setTyping(user, active: active) }
        guard let parent = uplink.parent, cell.isLinked(to: parent) else { return }
        cell.send(TreeCodec.frame(name, .typing(user: user, active: active)), to: parent)
    }

    /// At the root.
    func setTyping(_ user: String, active: Bool) {
        let ttl = cell.context.timings.typingTTL
        if active, typing.isOverBudget(user) { return cell.drops.count(.typingOverBudget) }
        let changed = typing.set(user, active: active, now: Clock.now(), ttl: ttl)
        if active || changed != nil { root?.presence.typingChanged(user, active: active) }
        if let changed { change([changed]) }
    }

    private func change(_ changes: [TypingTable.Change]) {
        guard !changes.isEmpty else { return }
        tellAll(.typing) { .typing(generation: $0, changes) }
    }

    // MARK: Down

    func tellAll(_ interest: Interest, _ down: (UInt64) -> TreeDown) {
        children.forEach(wanting: interest) { child, generation in tell(child, down(generation)) }
    }

    func tell(_ child: ChildID, _ down: TreeDown) {
        switch child {
        case .cell(let index): cell.post(.downToLeaf(room: name, down), to: index)
        case .node(let node): cell.send(TreeCodec.frame(name, down), to: node)
        case .store: break
        }
    }
}

extension Uplink<NodeID>.Place {
    init(_ parent: Topology.Parent) {
        switch parent {
        case .none: self = .root
        case .node(let node): self = .under(node)
        case .unknown: self = .unknown
        }
    }
}
