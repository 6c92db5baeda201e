import MeshConfiguration
import MeshCore
import Push
import Wire

extension ClientSession {
    /// Where notifications for this session's device go from now on.
    func registerPush(_ ask: RelayRegisterPush, id: UInt32) throws(RequestFault) {
        guard let service = PushService(ask.service) else { throw .invalid("service must be APNS or FCM") }
        guard PushToken.isValid(ask.token, for: service) else { throw .invalid("this is no token of \(service.rawValue)") }
        changePush(.init(device: device, registration: .init(service: service, token: ask.token)), id: id)
    }

    func unregisterPush(id: UInt32) { changePush(PushDeviceAsk(device: device), id: id) }

    private func changePush(_ ask: PushDeviceAsk, id: UInt32) {
        cell.ask(NameRules.inbox(of: user), .pushDevice(ask), deadline: cell.context.timings.requestDeadline) { [weak self] answer in
            guard let self, !isEnded else { return }
            guard case .done = answer else { return failed(id, answer) }
            reply(id, .done(.init()))
        }
    }
}

extension PushService {
    init?(_ service: RelayPushService) {
        switch service {
        case .apns: self = .apns
        case .fcm: self = .fcm
        case .UNRECOGNIZED: return nil
        }
    }
}

/// What services call their devices. Apple's stands in the path of a request, so it must be what Apple says it is.
enum PushToken {
    static let apnsBytesMax = 200
    static let fcmBytesMax = 4_096

    static func isValid(_ token: String, for service: PushService) -> Bool {
        switch service {
        case .apns: (1...apnsBytesMax).contains(token.utf8.count) && token.allSatisfy { $0.isASCII && $0.isHexDigit }
        case .fcm: (1...fcmBytesMax).contains(token.utf8.count) && token.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        case .webhook: false
        }
    }
}
