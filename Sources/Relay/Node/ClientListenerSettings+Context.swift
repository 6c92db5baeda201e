import HTTP2
import MeshConfiguration
import Session
import TLS
import Transport

extension ClientListenerSettings {
    /// As the node's configuration has it.
    init(_ context: NodeContext) {
        self.init()
        let limits = context.limits
        let timings = context.timings
        helloBytesMax = limits.maxHelloBytes
        let ladder = ConsumerLadder(outboxBytesMax: limits.outboxBytesMax)
        outbox = OutboxSteps(
            drainedBytes: ladder.drainedBytes, sheddingBytes: ladder.sheddingBytes, behindBytes: ladder.pullingBytes,
            bytesMax: limits.outboxBytesMax)
        handshakeTimeout = timings.handshakeTimeout
        idleTimeout = timings.connectionIdle
        writeTimeout = timings.writeTimeout
        compresses = context.configuration.compression
        // Some more than may be sessions, so that one too many is told so.
        socketsPerCellMax = limits.connectionsMax / context.configuration.cells + 1_000
        connectionsPerAddressMax = limits.connectionsPerAddressMax
        if let credentials = context.encryption.client { tls = { credentials.context } }
        allowsPlaintext = context.configuration.tls.client?.allowsPlaintext ?? true
        http2.streamsMax = limits.streamsPerConnectionMax
        http2.headerBytesMax = limits.headerBytesMax
        http2.headersMax = limits.headersMax
        http2.resetsPerSecondMax = limits.streamResetsPerSecondMax
        http2.controlFramesPerSecondMax = limits.controlFramesPerSecondMax
    }
}
