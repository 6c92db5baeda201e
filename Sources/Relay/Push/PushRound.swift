import MeshCore
import NIOCore
import Push
import Store

/// What comes of a batch that a worker has claimed: what is sent, and, when the outcomes are there, what the queue is told. Decides only.
struct PushRound {
    /// A claimed notification with those of its receivers that have not got it yet.
    private struct Item {
        var claim: ClaimedPush
        var queued: QueuedNotification
        var deliveries: [PushDelivery]
    }

    /// A token that a service does not know any more.
    struct GoneDevice: Hashable {
        var user: String
        var device: PushDevice
    }

    private let service: PushService
    private let rules: PushRules
    private var items: [Item] = []
    private(set) var settled: [SettledPush] = []
    private(set) var gone: [GoneDevice] = []
    private(set) var figures = PushFigures()

    /// - Parameter devices: of the users of the batch, as the store has them.
    init(_ claimed: [ClaimedPush], for service: PushService, rules: PushRules, devices: [String: [String: StoredPushDevice]]) {
        self.service = service
        self.rules = rules
        for claim in claimed {
            guard let queued = QueuedNotification(claim.body.readableBytesView) else {
                figures.drops.count(.malformedFrame)
                settle(claim, .over)
                continue
            }
            guard !rules.isTooOld(claim.age) else {
                count(.givenUp)
                settle(claim, .over)
                continue
            }
            let deliveries = Self.deliveries(queued, service, devices[queued.notification.user] ?? [:])
            if deliveries.isEmpty { settle(claim, .over) } else { items.append(Item(claim: claim, queued: queued, deliveries: deliveries)) }
        }
    }

    private static func deliveries(
        _ queued: QueuedNotification, _ service: PushService, _ devices: [String: StoredPushDevice]
    ) -> [PushDelivery] {
        guard service.needsDevice else { return [PushDelivery(queued.notification)] }
        let wanted = devices.filter { $0.value.service == service.rawValue && queued.devices?.contains($0.key) ?? true }
        return wanted.sorted { $0.key < $1.key }.map {
            PushDelivery(queued.notification, device: PushDevice(name: $0.key, token: $0.value.token))
        }
    }

    /// Users of claimed notifications: of them devices have to be known.
    static func users(of claimed: [ClaimedPush]) -> Set<String> {
        Set(claimed.compactMap { QueuedNotification($0.body.readableBytesView)?.notification.user })
    }

    var deliveries: [PushDelivery] { items.flatMap(\.deliveries) }

    /// - Parameter outcomes: of `deliveries`, in their order.
    mutating func finish(_ outcomes: [PushOutcome], using random: inout some RandomNumberGenerator) {
        var rest = outcomes[...]
        for item in items {
            let own = rest.prefix(item.deliveries.count)
            rest = rest.dropFirst(item.deliveries.count)
            finish(item, Array(zip(item.deliveries, own)), using: &random)
        }
        items = []
    }

    private mutating func finish(
        _ item: Item, _ results: [(PushDelivery, PushOutcome)], using random: inout some RandomNumberGenerator
    ) {
        var left: [String] = []
        var asked: TimeSpan?
        var isOver = true
        for (delivery, outcome) in results {
            let verdict = rules.verdict(outcome, claim: item.claim.claim, age: item.claim.age)
            count(verdict)
            if verdict == .gone, let device = delivery.device {
                gone.append(GoneDevice(user: delivery.notification.user, device: device))
            }
            guard verdict == .retry else { continue }
            isOver = false
            if let name = delivery.device?.name { left.append(name) }
            if case .retry(let after?, _) = outcome { asked = max(asked ?? .zero, after) }
        }
        guard !isOver else { return settle(item.claim, .over) }
        var body: ByteBuffer?
        if service.needsDevice, left.count < results.count {
            body = try? ByteBuffer(bytes: QueuedNotification(item.queued.notification, devices: left).encoded())
        }
        settle(item.claim, .later(delay: rules.delay(claim: item.claim.claim, asked: asked, using: &random), body: body))
    }

    private mutating func settle(_ claim: ClaimedPush, _ outcome: SettledPush.Outcome) {
        settled.append(SettledPush(id: claim.id, claim: claim.claim, outcome: outcome))
    }

    private mutating func count(_ verdict: PushRules.Verdict) {
        figures.outcomes[PushFigures.Series(service: service, verdict: verdict), default: 0] += 1
        switch verdict {
        case .givenUp: figures.drops.count(.pushGivenUp)
        case .rejected: figures.drops.count(.pushRejected)
        case .done, .retry, .gone: break
        }
    }
}
