import MeshCore
import NIOCore
import TLS
import Transport
import Wire

/// What takes the place of a cell: every connection gets an echo.
final class EchoFront: ClientFront {
    let tools: ConnectionTools
    let acceptsConnections = true
    private let loop: any EventLoop
    private var echoes: [ObjectIdentifier: Echo] = [:]

    init(loop: any EventLoop) {
        self.loop = loop
        tools = ConnectionTools(loop: loop)
    }

    func connected(_ connection: ClientConnection) {
        let echo = Echo(connection: connection) { [weak self] in self?.echoes[ObjectIdentifier(connection)] = nil }
        echoes[ObjectIdentifier(connection)] = echo
        connection.delegate = echo
    }

    func answer(_ question: HTTPQuestion) -> EventLoopFuture<HTTPAnswer> { loop.makeSucceededFuture(HTTPAnswer(status: 404)) }
    func countDrop(_ reason: DropReason) {}
    func secured(_ handshake: TLSHandshake) {}
}

/// Sends every message back to where it came from.
private final class Echo: ClientConnectionDelegate {
    private let connection: ClientConnection
    private let onEnd: () -> Void

    init(connection: ClientConnection, onEnd: @escaping () -> Void) {
        self.connection = connection
        self.onEnd = onEnd
    }

    func connectionReceived(_ payload: ByteBuffer, as encoding: FrameEncoding) {
        connection.append(encoding.opcode, payload)
        connection.flush()
    }

    func connectionViolated(_ violation: WebSocketViolation) {}
    func connectionIsBehind() { if connection.isFull { connection.closeNow() } }
    func connectionDrained() {}
    func connectionShedBatch() {}
    func connectionHeard() {}
    func connectionFinished() { connection.close(code: WebSocketCloseCode.normal, reason: "") }
    func connectionEnded(clean: Bool) { onEnd() }
}
