import MeshCore
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Hands notifications to Apple's push service: token authentication, one HTTP/2 connection, a stream for each.
public struct APNsSender: PushSender {
    /// Why the sender cannot be made.
    public struct KeyFault: Error, CustomStringConvertible {
        public let description: String
    }

    public let service = PushService.apns
    private let client: any HTTPClient
    private let token: ProviderToken
    private let topic: String
    private let lifetime: TimeSpan
    private let clock: @Sendable () -> WallMilliseconds

    /// - Parameters:
    ///   - key: the content of the `.p8` file, PEM.
    ///   - keyID: the key's id, ten characters.
    ///   - teamID: whose key it is.
    ///   - topic: the application's bundle id.
    ///   - lifetime: how long the service keeps what a device cannot take now.
    public init(
        _ place: HTTPPlace, key: String, keyID: String, teamID: String, topic: String, lifetime: TimeSpan,
        clock: @escaping @Sendable () -> WallMilliseconds
    ) throws(KeyFault) {
        client = HTTP2Client(place)
        self.topic = topic
        self.lifetime = lifetime
        self.clock = clock
        do {
            token = try ProviderToken(pem: key, keyID: keyID, teamID: teamID, clock: clock)
        } catch {
            throw KeyFault(description: "no private key for ES256 in PEM: \(error)")
        }
    }

    public func send(_ deliveries: [PushDelivery]) async -> [PushOutcome] { await Concurrently.map(deliveries, send) }

    private func send(_ delivery: PushDelivery) async -> PushOutcome {
        guard let device = delivery.device else { return .rejected(reason: "no device") }
        do {
            // A token that has just ended is renewed once; everything else waits for its turn.
            for isLast in [false, true] {
                let bearer = try await token.token()
                let expiresAt = clock() / 1000 + Int64(lifetime.milliseconds / 1000)
                let request = HTTPRequest(
                    target: "/3/device/\(device.token)",
                    headers: APNsRequest.headers(delivery, topic: topic, bearer: bearer, expiresAt: expiresAt),
                    body: try APNsRequest.payload(delivery.notification))
                let answer = APNsAnswer(try await client.send(request))
                guard answer.isTokenExpired, !isLast else { return answer.outcome }
                await token.expired(bearer)
            }
        } catch {
            return .retry(after: nil, reason: "\(error)")
        }
        return .retry(after: nil, reason: "ExpiredProviderToken")
    }
}

/// What Apple's service answered: a status, and a reason in JSON.
struct APNsAnswer: Hashable, Sendable {
    var status: Int
    var reason: String
    var retryAfter: TimeSpan?

    private struct Body: Decodable { var reason: String? }

    init(_ response: HTTPResponse) {
        status = response.status
        reason = (try? JSONDecoder().decode(Body.self, from: Data(response.body.readableBytesView)))?.reason ?? "HTTP \(response.status)"
        retryAfter = response.retryAfter
    }

    var isTokenExpired: Bool { status == 403 && reason == "ExpiredProviderToken" }

    var outcome: PushOutcome {
        switch (status, reason) {
        case (200, _): .done
        case (410, _), (400, "BadDeviceToken"): .gone
        // What an operator can mend: a key that is not known yet, or a wrong clock.
        case (403, _), (429, _), (500..., _): .retry(after: retryAfter, reason: reason)
        default: .rejected(reason: reason)
        }
    }
}

/// Runs an operation on each element at once and keeps their order.
enum Concurrently {
    static func map<Element: Sendable, Answer: Sendable>(
        _ elements: [Element], _ transform: @escaping @Sendable (Element) async -> Answer
    ) async -> [Answer] {
        await withTaskGroup(of: (Int, Answer).self) { group in
            for (index, element) in elements.enumerated() { group.addTask { (index, await transform(element)) } }
            var answers: [(Int, Answer)] = []
            for await answer in group { answers.append(answer) }
            return answers.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }
}
