import SwiftProtobuf
import Wire

extension HeliographClient {
    /// Where notifications for this device go while the user has no session. Replaces what was registered for the device before.
    ///
    /// - Parameter token: the device's name with the service; for APNs in hexadecimal.
    /// - Throws: `HeliographClientError` or `CancellationError`.
    public func registerPush(service: RelayPushService, token: String) async throws {
        try await expectDone(
            .with {
                $0.registerPush.service = service
                $0.registerPush.token = token
            })
    }

    /// Ends the notifications for this device: at sign-out.
    public func unregisterPush() async throws {
        try await expectDone(.with { $0.unregisterPush = RelayUnregisterPush() })
    }
}
