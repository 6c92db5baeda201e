import TLS
import Wire

/// Comes and goes, again and again, by one route: one session at a time. Lives on one thread.
struct ConnectWorker {
    private let route: ConnectRoute
    private let dialect: Dialect
    private let target: LoadTarget
    private let tls: TLSContext?
    private let inbox = LoadInbox()
    private let number: Int
    /// For `stream`.
    private var open: LoadConnection?
    /// For `resumed`: the newest ticket.
    private var ticket: TLSResumption?

    /// - Parameter number: of the worker.
    init(_ route: ConnectRoute, encoding: FrameEncoding, target: LoadTarget, tls: TLSContext?, number: Int) {
        self.route = route
        let door = route.door
        dialect = Dialect(kind: .relay(door, door.encoding(for: encoding), .ephemeral), payloadBytes: 0)
        self.target = target
        self.tls = tls
        self.number = number
    }

    /// Connects, says hello, hears welcome, and leaves as the transport wants it.
    mutating func comeAndGo(token: String) throws {
        let connection = try open ?? connect()
        let session = try connection.openSession()
        try connection.ask(try dialect.hello(token: token, device: "device-\(number)"), id: 1, on: session)
        try connection.closeSession(session)
        if case .stream = route { open = connection } else { try connection.finish() }
        if case .resumed = route { try renewTicket(connection) }
    }

    private mutating func renewTicket(_ connection: LoadConnection) throws {
        guard connection.wasResumed || ticket == nil else { throw BenchmarkError.protocolFailed("the TLS session was not resumed") }
        ticket = connection.resumption
        guard ticket != nil else { throw BenchmarkError.protocolFailed("the server sent no ticket") }
    }

    private func connect() throws -> LoadConnection {
        try LoadConnection(dialect, target: target, number: number, tls: tls, inbox: inbox, resuming: ticket)
    }
}
