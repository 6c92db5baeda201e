import MeshCore
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Hands notifications to Firebase Cloud Messaging, HTTP v1: one HTTP/2 connection, a stream for each.
public struct FCMSender: PushSender {
    /// Why the sender cannot be made.
    public struct KeyFault: Error, CustomStringConvertible {
        public let description: String
    }

    public let service = PushService.fcm
    private let client: any HTTPClient
    private let token: AccessToken
    private let target: String

    /// - Parameter tokens: the account's `token_uri`.
    public init(
        _ place: HTTPPlace, tokens: HTTPPlace, account: ServiceAccount, clock: @escaping @Sendable () -> WallMilliseconds
    ) throws(KeyFault) {
        client = HTTP2Client(place)
        target = "/v1/projects/\(account.projectID)/messages:send"
        do {
            token = try AccessToken(account, client: HTTP2Client(tokens), clock: clock)
        } catch {
            throw KeyFault(description: "no RSA private key in PEM: \(error)")
        }
    }

    public func send(_ deliveries: [PushDelivery]) async -> [PushOutcome] { await Concurrently.map(deliveries, send) }

    private func send(_ delivery: PushDelivery) async -> PushOutcome {
        guard let device = delivery.device else { return .rejected(reason: "no device") }
        do {
            let bearer = try await token.token()
            let request = HTTPRequest(
                target: target, headers: [("authorization", "Bearer \(bearer)"), ("content-type", "application/json")],
                body: ByteBuffer(bytes: try PushJSON.encode(FCMMessage(delivery.notification, token: device.token))))
            let answer = FCMAnswer(try await client.send(request))
            if answer.status == 401 { await token.refused(bearer) }
            return answer.outcome
        } catch {
            return .retry(after: nil, reason: "\(error)")
        }
    }
}

/// The document of `messages:send`.
struct FCMMessage: Encodable {
    struct Message: Encodable {
        struct Notification: Encodable {
            var title: String
            var body: String
        }

        struct Android: Encodable {
            var collapseKey: String
            var priority = "HIGH"

            enum CodingKeys: String, CodingKey {
                case priority
                case collapseKey = "collapse_key"
            }
        }

        var token: String
        var notification: Notification
        /// Strings only, as the service wants it.
        var data: [String: String]
        var android: Android
    }

    var message: Message

    init(_ notification: PushNotification, token: String) {
        message = Message(
            token: token, notification: .init(title: notification.from, body: notification.text ?? ""),
            data: [
                "room": notification.room, "epoch": String(notification.position.epoch), "seq": String(notification.position.seq),
                "reason": notification.reason.rawValue, "count": String(notification.count),
            ], android: .init(collapseKey: APNsRequest.collapseID(notification.room)))
    }
}

/// What the service answered: a status, and an error code in its details.
struct FCMAnswer: Hashable, Sendable {
    var status: Int
    var code: String
    var retryAfter: TimeSpan?

    private struct Body: Decodable {
        struct Fault: Decodable {
            struct Detail: Decodable { var errorCode: String? }
            var status: String?
            var details: [Detail]?
        }
        var error: Fault?
    }

    init(_ response: HTTPResponse) {
        status = response.status
        let fault = (try? JSONDecoder().decode(Body.self, from: Data(response.body.readableBytesView)))?.error
        code = fault?.details?.lazy.compactMap(\.errorCode).first ?? fault?.status ?? "HTTP \(response.status)"
        retryAfter = response.retryAfter
    }

    var outcome: PushOutcome {
        switch (status, code) {
        case (200, _): .done
        case (_, "UNREGISTERED"): .gone
        case (401, _), (429, _), (500..., _): .retry(after: retryAfter, reason: code)
        default: .rejected(reason: code)
        }
    }
}
