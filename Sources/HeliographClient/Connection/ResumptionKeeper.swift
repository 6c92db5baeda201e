import NIOCore
import TLS

/// Keeps what a later connection may go on with, when this one ends: the tickets of TLS 1.3 come after the handshake.
final class ResumptionKeeper: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let session: TLSSession
    private let tls: ClientTLS
    private let url: RelayURL

    init(_ session: TLSSession, of tls: ClientTLS, _ url: RelayURL) {
        self.session = session
        self.tls = tls
        self.url = url
    }

    func channelInactive(context: ChannelHandlerContext) {
        // A session whose connection ended without close_notify from this side is of no use any more to OpenSSL.
        var unsent = ByteBuffer()
        session.close(output: &unsent)
        if session.handshake != nil, let resumption = session.resumption { tls.keep(resumption, for: url) }
        context.fireChannelInactive()
    }
}
