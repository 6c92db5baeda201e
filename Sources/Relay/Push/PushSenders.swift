import Foundation
import MeshConfiguration
import MeshCore
import NIOCore
import Push
import TLS

/// Makes the senders of the services that a region's file sets up.
struct PushSenders {
    let configuration: PushConfiguration
    let node: NodeID
    let encryption: NodeEncryption
    let loop: any EventLoop

    /// - Throws: `NodeError.noPush` for a key that cannot be used.
    func make() throws(NodeError) -> [any PushSender] {
        var senders: [any PushSender] = []
        if let webhook = configuration.webhook { senders.append(try make(webhook)) }
        if let apns = configuration.apns { senders.append(try make(apns)) }
        if let fcm = configuration.fcm { senders.append(try make(fcm)) }
        return senders
    }

    private func make(_ webhook: PushConfiguration.Webhook) throws(NodeError) -> WebhookSender {
        do {
            let secret = try TokenSecret(file: webhook.secretFile)
            return WebhookSender(place(webhook.address, .webhook), secret: secret.bytes, node: node, clock: Clock.wall)
        } catch {
            throw .noPush("push.webhook.secretFile: \(error)")
        }
    }

    private func make(_ apns: PushConfiguration.APNs) throws(NodeError) -> APNsSender {
        do {
            return try APNsSender(
                place(apns.address, .apns), key: try String(contentsOfFile: apns.keyFile, encoding: .utf8), keyID: apns.keyID,
                teamID: apns.teamID, topic: apns.topic, lifetime: configuration.limits.ageMax, clock: Clock.wall)
        } catch {
            throw .noPush("push.apns.keyFile: \(error)")
        }
    }

    private func make(_ fcm: PushConfiguration.FCM) throws(NodeError) -> FCMSender {
        do {
            let json = try Data(contentsOf: URL(fileURLWithPath: fcm.serviceAccountFile))
            guard let account = ServiceAccount(json: Array(json)) else { throw NodeError.noPush("the file is no service account") }
            return try FCMSender(
                place(fcm.address, .fcm), tokens: place(account.tokenAddress, .fcm), account: account, clock: Clock.wall)
        } catch {
            throw .noPush("push.fcm.serviceAccountFile: \(error)")
        }
    }

    private func place(_ address: WebAddress, _ service: PushService) -> HTTPPlace {
        HTTPPlace(
            address: address, tls: address.isEncrypted ? encryption.push[service] : nil, deadline: configuration.limits.deadline, loop: loop
        )
    }
}
