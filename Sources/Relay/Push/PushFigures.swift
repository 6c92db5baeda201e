import MeshCore
import Operations
import Push
import Store

/// What a node's workers have made of notifications, and what they last saw in the queues.
struct PushFigures: Sendable {
    struct Series: Hashable, Sendable {
        var service: PushService
        var verdict: PushRules.Verdict
    }

    var outcomes: [Series: UInt64] = [:]
    var queues: [PushService: PushQueueState] = [:]
    var drops = DropLedger()

    mutating func add(_ other: PushFigures) {
        outcomes.merge(other.outcomes, uniquingKeysWith: +)
        queues.merge(other.queues) { _, newer in newer }
        drops.add(other.drops)
    }

    /// Every service that is set up has all its series from the start.
    func metrics(_ services: [PushService]) -> [MetricFamily] {
        let outcomes = services.flatMap { service in
            PushRules.Verdict.allCases.map { verdict in
                MetricFamily.Sample(
                    .integer(self.outcomes[Series(service: service, verdict: verdict)] ?? 0), .init("service", service.rawValue),
                    .init("outcome", verdict.rawValue))
            }
        }
        func gauge(_ name: String, _ help: String, _ value: (PushQueueState) -> Double) -> MetricFamily {
            MetricFamily(
                name, .gauge, help: help,
                samples: services.map { .init(.number(queues[$0].map(value) ?? 0), .init("service", $0.rawValue)) })
        }
        return [
            MetricFamily("heliograph_push_total", .counter, help: "Tries to deliver a notification, by outcome.", samples: outcomes),
            gauge("heliograph_push_queue", "Notifications that wait in the region's store.") { Double($0.count) },
            gauge("heliograph_push_oldest_seconds", "Age of the oldest of them.") { Double($0.oldestAge.nanoseconds) / 1e9 },
        ]
    }
}
