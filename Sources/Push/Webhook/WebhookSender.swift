import MeshCore
import NIOCore

/// Hands notifications to an HTTP server of the application's own, as one signed JSON document.
public struct WebhookSender: PushSender {
    public let service = PushService.webhook
    private let client: any HTTPClient
    private let target: String
    private let secret: [UInt8]
    private let node: NodeID
    private let clock: @Sendable () -> WallMilliseconds

    /// - Parameters:
    ///   - secret: what requests are signed with.
    ///   - node: who sends; its region is said in each document.
    ///   - clock: the wall clock, ms since 1970.
    public init(_ place: HTTPPlace, secret: [UInt8], node: NodeID, clock: @escaping @Sendable () -> WallMilliseconds) {
        client = HTTP1Client(place)
        target = place.address.target
        self.secret = secret
        self.node = node
        self.clock = clock
    }

    private struct Document: Encodable {
        struct Entry: Encodable {
            var notification: PushNotification

            func encode(to encoder: any Encoder) throws {
                try notification.encode(to: encoder)
                var container = encoder.container(keyedBy: Key.self)
                try container.encode(notification.id, forKey: .id)
            }

            private enum Key: String, CodingKey { case id }
        }

        var region: String
        var notifications: [Entry]
    }

    public func send(_ deliveries: [PushDelivery]) async -> [PushOutcome] {
        let outcome: PushOutcome
        do {
            outcome = Self.outcome(of: try await client.send(try request(deliveries.map(\.notification))))
        } catch {
            outcome = .retry(after: nil, reason: "\(error)")
        }
        return Array(repeating: outcome, count: deliveries.count)
    }

    private func request(_ notifications: [PushNotification]) throws -> HTTPRequest {
        let body = try PushJSON.encode(Document(region: node.region.name, notifications: notifications.map { .init(notification: $0) }))
        let timestamp = String(clock() / 1000)
        let headers = [
            ("user-agent", "heliograph"), ("content-type", "application/json"), ("heliograph-timestamp", timestamp),
            ("heliograph-signature", WebhookSignature.sign(timestamp: timestamp, body: body, secret: secret)),
            ("heliograph-node", node.name),
            ("heliograph-delivery", WebhookSignature.delivery(ids: notifications.map(\.id), secret: secret)),
        ]
        return HTTPRequest(target: target, headers: headers, body: ByteBuffer(bytes: body))
    }

    static func outcome(of response: HTTPResponse) -> PushOutcome {
        let reason = "HTTP \(response.status)"
        switch response.status {
        case 200..<300: return .done
        case 408, 425, 429, 500...: return .retry(after: response.retryAfter, reason: reason)
        default: return .refused(reason: reason)
        }
    }
}
