import MeshCore
import NIOCore

/// What a notification looks like to Apple's service: `POST /3/device/<token>`.
enum APNsRequest {
    static let payloadBytesMax = 4_096
    static let collapseBytesMax = 64

    private struct Payload: Encodable {
        struct APS: Encodable {
            struct Alert: Encodable {
                var title: String
                var body: String
            }

            var alert: Alert
            var sound = "default"
            var badge: UInt64?
            var threadID: String

            enum CodingKeys: String, CodingKey {
                case alert, sound, badge
                case threadID = "thread-id"
            }
        }

        struct Place: Encodable {
            var room: String
            var position: PushNotification.Place
            var reason: PushNotification.Reason
            var count: UInt64
        }

        var aps: APS
        var heliograph: Place
    }

    /// JSON of at most `payloadBytesMax`: a text that is too long for it is cut.
    static func payload(_ notification: PushNotification) throws -> ByteBuffer {
        var bytesMax = notification.text?.utf8.count ?? 0
        while true {
            let text = notification.text.map { PushNotification.preview($0, bytesMax: bytesMax) } ?? ""
            let data = try PushJSON.encode(
                Payload(
                    aps: .init(
                        alert: .init(title: notification.from, body: text), badge: notification.unread, threadID: notification.room),
                    heliograph: .init(
                        room: notification.room, position: notification.position, reason: notification.reason, count: notification.count)))
            if data.count <= payloadBytesMax || bytesMax == 0 { return ByteBuffer(bytes: data) }
            bytesMax /= 2
        }
    }

    static func headers(_ delivery: PushDelivery, topic: String, bearer: String, expiresAt: Int64) -> [(name: String, value: String)] {
        let notification = delivery.notification
        return [
            ("authorization", "bearer \(bearer)"), ("apns-topic", topic), ("apns-push-type", "alert"), ("apns-priority", "10"),
            ("apns-expiration", String(expiresAt)), ("apns-collapse-id", collapseID(notification.room)),
            ("apns-id", id(of: delivery)), ("content-type", "application/json"),
        ]
    }

    /// The room, so that a device shows the newest of it only; a long one stands for itself by its hash.
    static func collapseID(_ room: String) -> String {
        room.utf8.count <= collapseBytesMax ? room : "room-" + String(stableHash(room), radix: 16)
    }

    /// A UUID that is the same for the same notification and device, so that a repeat can be told.
    static func id(of delivery: PushDelivery) -> String {
        let text = "\(delivery.notification.id)\n\(delivery.device?.token ?? "")"
        let digits = [stableHash(text), stableHash("2\n" + text)].map { hash in
            let digits = String(hash, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
        var groups: [Substring] = []
        var rest = digits[...]
        for length in [8, 4, 4, 4, 12] {
            groups.append(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        return groups.joined(separator: "-")
    }
}
