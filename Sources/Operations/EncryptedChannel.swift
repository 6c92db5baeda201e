import HummingbirdCore
import Logging
import MeshCore
import NIOCore
import TLS

/// A connection of the operations listener behind TLS.
struct EncryptedChannel<Base: ServerChildChannel>: ServerChildChannel {
    typealias Value = Base.Value

    let base: Base
    let credentials: TLSCredentials
    let handshakeTimeout: TimeSpan

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let handler = TLSHandler(TLSSession(credentials.context), handshakeTimeout: handshakeTimeout)
            try channel.pipeline.syncOperations.addHandler(handler)
        }.flatMap { base.setup(channel: channel, logger: logger) }
    }

    func handle(value: Value, logger: Logger) async { await base.handle(value: value, logger: logger) }
}

extension HTTPServerBuilder {
    static func https(
        _ credentials: TLSCredentials, handshakeTimeout: TimeSpan, configuration: HTTP1Channel.Configuration
    ) -> HTTPServerBuilder {
        HTTPServerBuilder { responder in
            EncryptedChannel(
                base: HTTP1Channel(responder: responder, configuration: configuration), credentials: credentials,
                handshakeTimeout: handshakeTimeout)
        }
    }
}
