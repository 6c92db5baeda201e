import Logging
import MeshConfiguration
import MeshCore
import NIOCore
import Push
import Store
import Synchronization

/// A node's part in emptying the region's queues of notifications: one worker for each service, and one that looks for notes whose maker
/// did not come to queue what is owed. Every node of the region does the same; leases keep them apart.
final class PushStation: Sendable {
    /// Notifications in one claim, and so in one request of a webhook.
    static let batchMax = 100
    /// What is queued within it goes out together.
    private static let batchWait = Duration.milliseconds(200)
    private static let lookPeriod = Duration.seconds(1)
    /// A root that lives makes its notes good within the deadline of its store and its repeats.
    private static let noteAge = TimeSpan.seconds(10)
    private static let notesMax = 100
    private static let messagesPerNoteMax = 1_000

    private let configuration: PushConfiguration
    private let senders: [any PushSender]
    private let port: CellPort
    private let logger: Logger
    private let state = Mutex((figures: PushFigures(), tasks: [Task<Void, Never>]()))

    /// - Parameter port: the cell whose connection to the store is used.
    init(_ configuration: PushConfiguration, senders: [any PushSender], port: CellPort, logger: Logger) {
        self.configuration = configuration
        self.senders = senders
        self.port = port
        self.logger = logger
    }

    var figures: PushFigures { state.withLock { $0.figures } }
    var services: [PushService] { configuration.services }

    // MARK: The life of the workers

    func start() {
        var tasks = senders.map { sender in Task { await self.work(for: sender) } }
        tasks.append(Task { await self.look() })
        state.withLock { $0.tasks = tasks }
    }

    /// Waits for what is being sent: its outcome is told to the queue.
    func stop() async {
        let tasks = state.withLock { $0.tasks }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    private func work(for sender: any PushSender) async {
        var random = SystemRandomNumberGenerator()
        while !Task.isCancelled {
            let count = await round(with: sender, using: &random)
            if count < Self.batchMax { try? await Task.sleep(for: Self.batchWait) }
        }
    }

    // MARK: A round

    /// Answers how many notifications there were. While the store is away there are none.
    private func round(with sender: any PushSender, using random: inout some RandomNumberGenerator) async -> Int {
        let service = sender.service
        let lease = configuration.limits.lease
        guard let claimed = try? await call({ $0.claimPushes(for: service.rawValue, limit: Self.batchMax, lease: lease) }),
            !claimed.isEmpty, let devices = await devices(of: claimed, for: service)
        else { return 0 }
        var round = PushRound(claimed, for: service, rules: configuration.rules, devices: devices)
        let deliveries = round.deliveries
        let outcomes = deliveries.isEmpty ? [] : await sender.send(deliveries)
        report(outcomes, service)
        round.finish(outcomes, using: &random)
        await settle(round, service)
        return claimed.count
    }

    /// Nil when the store does not say: then nothing is sent, and the batch comes back when its lease ends.
    private func devices(of claimed: [ClaimedPush], for service: PushService) async -> [String: [String: StoredPushDevice]]? {
        guard service.needsDevice else { return [:] }
        var devices: [String: [String: StoredPushDevice]] = [:]
        for user in PushRound.users(of: claimed) {
            guard let known = try? await call({ $0.pushDevices(of: user) }) else { return nil }
            devices[user] = known
        }
        return devices
    }

    private func settle(_ round: PushRound, _ service: PushService) async {
        let settled = round.settled
        state.withLock { $0.figures.add(round.figures) }
        for gone in round.gone {
            try? await call { $0.removePushDevice(gone.device.name, of: gone.user, token: gone.device.token) }
        }
        do {
            try await call { $0.settlePushes(for: service.rawValue, settled) }
        } catch {
            logger.warning(
                "outcomes of notifications could not be kept; they are sent again", metadata: ["service": "\(service.rawValue)"])
        }
    }

    /// One line a round, however many have failed.
    private func report(_ outcomes: [PushOutcome], _ service: PushService) {
        for outcome in outcomes {
            switch outcome {
            case .done, .gone: continue
            case .retry(_, let reason), .refused(let reason), .rejected(let reason):
                logger.warning("a notification was not taken", metadata: ["service": "\(service.rawValue)", "reason": "\(reason)"])
                return
            }
        }
    }

    // MARK: Notes and figures

    private func look() async {
        while !Task.isCancelled {
            for service in services {
                guard let queue = try? await call({ $0.pushQueue(of: service.rawValue) }) else { continue }
                state.withLock { $0.figures.queues[service] = queue }
            }
            let notes = (try? await call { $0.overduePushMarks(age: Self.noteAge, limit: Self.notesMax) }) ?? []
            for note in notes { try? await makeGood(note) }
            try? await Task.sleep(for: Self.lookPeriod)
        }
    }

    /// Queues what the log has behind the note. Some of it may have been queued before: whoever wrote the note did not come to say so.
    private func makeGood(_ note: PushMark) async throws {
        let room = NameRules.inbox(of: note.user)
        let messages = try await call {
            $0.read(room, after: note.after, before: nil, limit: Self.messagesPerNoteMax, newest: false)
        }
        let entries = try messages.compactMap { message -> PushBatch.Entry? in
            let notification = PushNotification(
                message.body, at: message.position, for: note.user, reason: .message, count: 1,
                previewBytesMax: configuration.limits.previewBytesMax)
            guard let notification, notification.from != note.user else { return nil }
            return .init(id: notification.id, body: ByteBuffer(bytes: try QueuedNotification(notification).encoded()))
        }
        logger.info("notifications that nobody had queued", metadata: ["count": "\(entries.count)"])
        let batch = PushBatch(
            entries: entries, services: services.map(\.rawValue), most: configuration.limits.queueMax, settles: note)
        let refused = try await call { $0.queuePushes(batch) }
        state.withLock { $0.figures.drops.count(.pushQueueFull, refused) }
    }

    /// On the cell's event loop, where its store lives.
    private func call<Answer: Sendable>(
        _ body: @escaping @Sendable (any RegionStore) -> EventLoopFuture<Answer>
    ) async throws -> Answer {
        try await port.loop.flatSubmit { [port] in body(port.cell.value.store) }.get()
    }
}
