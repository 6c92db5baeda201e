import MeshConfiguration
import MeshCore
import NIOCore
import Push
import Wire

extension PushNotification {
    /// Nil for bytes that are no message.
    init?(
        _ body: ByteBuffer, at position: Position, for user: String, reason: Reason, count: UInt64, previewBytesMax: Int
    ) {
        guard let message = MessageBody.decode(body) else { return nil }
        var (text, dataBytes): (String?, Int?)
        switch message.content {
        case .text(let whole): text = PushNotification.preview(whole, bytesMax: previewBytesMax)
        case .data(let data): dataBytes = data.count
        case nil: break
        }
        self.init(
            user: user, room: NameRules.inbox(of: user), position: position, from: message.from, contentType: message.contentType,
            text: text, dataBytes: dataBytes, at: message.at, reason: reason, count: count)
    }
}

extension PushConfiguration {
    /// Those that are set up.
    var services: [PushService] {
        [(webhook != nil, PushService.webhook), (apns != nil, .apns), (fcm != nil, .fcm)].filter(\.0).map(\.1)
    }

    var rules: PushRules {
        PushRules(triesMax: limits.triesMax, ageMax: limits.ageMax, retryLeast: limits.retryLeast, retryMost: limits.retryMost)
    }
}
