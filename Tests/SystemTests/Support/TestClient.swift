import LocalMesh
import MeshCore
import NIOCore
import NIOPosix
import SwiftProtobuf
import Synchronization
import Testing
import Wire

/// Where clients connect.
protocol ClientEdge: Sendable {
    var clientURL: String { get }
}

extension LocalMesh.Node: ClientEdge {}

/// A client of the protocol that hides nothing: it sends whatever it is told and keeps every frame that it gets.
final class TestClient: Sendable {
    let user: String
    let recorder: Recorder
    private let channel: any Channel
    private let encoding: FrameEncoding
    private let nextID = Atomic<UInt32>(1)

    private init(user: String, recorder: Recorder, channel: any Channel, encoding: FrameEncoding) {
        self.user = user
        self.recorder = recorder
        self.channel = channel
        self.encoding = encoding
    }

    // MARK: Coming and going

    /// A TCP connection and nothing more.
    static func dial(
        _ place: some ClientEdge, user: String = "nobody", encoding: FrameEncoding = .json, answersPings: Bool = true,
        receiveBytes: Int? = nil, tap: (@Sendable ([RelayServerFrame]) -> Void)? = nil
    ) async throws -> TestClient {
        let recorder = Recorder(tap: tap)
        let (host, port) = try address(of: place.clientURL)
        var bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(5))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        TestChannelHandler(recorder: recorder, encoding: encoding, answersPings: answersPings))
                }
            }
        if let receiveBytes { bootstrap = bootstrap.channelOption(.socketOption(.so_rcvbuf), value: .init(receiveBytes)) }
        let channel = try await bootstrap.connect(host: host, port: port).get()
        return TestClient(user: user, recorder: recorder, channel: channel, encoding: encoding)
    }

    /// A WebSocket without a hello.
    static func open(
        _ place: some ClientEdge, user: String = "nobody", encoding: FrameEncoding = .json, answersPings: Bool = true,
        receiveBytes: Int? = nil, tap: (@Sendable ([RelayServerFrame]) -> Void)? = nil
    ) async throws -> TestClient {
        let client = try await dial(
            place, user: user, encoding: encoding, answersPings: answersPings, receiveBytes: receiveBytes, tap: tap)
        var request = ByteBuffer()
        WebSocketHandshake.appendRequest(
            host: "localhost", path: "/v1/ws", key: "dGhlIHNhbXBsZSBub25jZQ==", subprotocols: encoding.subprotocol.map { [$0] } ?? [],
            to: &request)
        client.sendBytes(request)
        await client.recorder.wait(within: .seconds(5)) { $0.isUpgraded || $0.isClosed }
        guard client.recorder.record.isUpgraded else { throw SystemTestError("no upgrade at \(place.clientURL)") }
        return client
    }

    /// A session.
    static func connect(
        _ place: some ClientEdge, as user: String, token: String? = nil, device: String? = nil, status: RelayStatus = .online,
        encoding: FrameEncoding = .json, heartbeatSeconds: UInt32? = nil, answersPings: Bool = true, receiveBytes: Int? = nil,
        session: String? = nil, resume: [RelayResume] = []
    ) async throws -> TestClient {
        let client = try await open(place, user: user, encoding: encoding, answersPings: answersPings, receiveBytes: receiveBytes)
        let bearer = if let token { token } else { try await MeshUnderTest.current.token(user) }
        let hello = RelayHello.with {
            $0.token = bearer
            $0.status = status
            if let device { $0.device = device }
            if let heartbeatSeconds { $0.heartbeatSeconds = heartbeatSeconds }
            if let session { $0.session = session }
            $0.resume = resume
        }
        guard case .welcome = try await client.ask(.hello(hello)) else { throw SystemTestError("\(user) is not welcome") }
        return client
    }

    static func address(of url: String) throws -> (String, Int) {
        let parts = url.split(separator: ":")
        guard parts.count == 3, let port = Int(parts[2]) else { throw SystemTestError("no port in \(url)") }
        return ("127.0.0.1", port)
    }

    /// Says goodbye by WebSocket and waits for the end.
    func close() async {
        var bytes = ByteBuffer()
        WebSocketFrames.appendClose(code: 1000, mask: 7, to: &bytes)
        sendBytes(bytes)
        await recorder.wait(within: .seconds(5)) { $0.isClosed }
        try? await channel.close().get()
    }

    /// Breaks the connection without a word.
    func drop() async { try? await channel.close().get() }

    /// Stops taking bytes from the kernel.
    func stopReading() async throws { try await channel.setOption(.autoRead, value: false).get() }
    func resumeReading() async throws { try await channel.setOption(.autoRead, value: true).get() }

    // MARK: Sending

    func sendBytes(_ bytes: ByteBuffer) { channel.writeAndFlush(bytes, promise: nil) }

    func sendMessage(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) {
        var bytes = ByteBuffer()
        WebSocketFrames.append(opcode, payload, mask: 0x0102_0304, to: &bytes)
        sendBytes(bytes)
    }

    func sendText(_ text: String) { sendMessage(.text, ByteBuffer(string: text)) }

    /// All in one WebSocket message.
    func send(_ frames: [RelayClientFrame]) throws {
        var payload = ByteBuffer()
        for frame in frames {
            if payload.readableBytes > 0 { encoding.appendSeparator(to: &payload) }
            try ClientFrameEncoder.append(frame, encoding: encoding, to: &payload)
        }
        sendMessage(encoding.opcode, payload)
    }

    /// Sends a frame that wants an answer, and returns its id.
    @discardableResult
    func post(_ body: RelayClientFrame.OneOf_Frame) throws -> UInt32 {
        let id = nextID.wrappingAdd(1, ordering: .relaxed).oldValue
        try send([frame(body, id)])
        return id
    }

    /// The same for several in one message.
    func post(_ bodies: [RelayClientFrame.OneOf_Frame]) throws -> [UInt32] {
        let frames = bodies.map { frame($0, nextID.wrappingAdd(1, ordering: .relaxed).oldValue) }
        try send(frames)
        return frames.map(\.id)
    }

    private func frame(_ body: RelayClientFrame.OneOf_Frame, _ id: UInt32) -> RelayClientFrame {
        var frame = RelayClientFrame()
        frame.id = id
        frame.frame = body
        return frame
    }

    // MARK: Waiting

    /// How many frames have come: a place to wait from.
    var mark: Int { recorder.record.frames.count }

    /// The first answer that `find` gives about the frames after `mark`.
    func wait<Answer: Sendable>(
        _ what: String, after mark: Int = 0, within limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation,
        _ find: @escaping @Sendable (ArraySlice<RelayServerFrame>) -> Answer?
    ) async throws -> Answer {
        await recorder.wait(within: limit) { $0.isClosed || find($0.frames.dropFirst(mark)) != nil }
        let record = recorder.record
        if let answer = find(record.frames.dropFirst(mark)) { return answer }
        let end = record.isClosed ? "; closed with \(record.closeCode.map(String.init) ?? "no code")" : ""
        let seen = record.frames.dropFirst(mark).suffix(12).map { "\n  \((try? $0.jsonString()) ?? "?")" }.joined()
        let text = "\(user) did not get \(what) within \(limit)\(end). Since then:\(seen)"
        Issue.record("\(text)", sourceLocation: sourceLocation)
        throw SystemTestError(text)
    }

    func reply(
        _ id: UInt32, within limit: Duration = .seconds(15), sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> RelayServerFrame.OneOf_Frame {
        try await wait("a reply to \(id)", within: limit, sourceLocation: sourceLocation) { frames in
            frames.first { $0.id == id }?.frame
        }
    }

    func ask(
        _ body: RelayClientFrame.OneOf_Frame, within limit: Duration = .seconds(15), sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> RelayServerFrame.OneOf_Frame {
        try await reply(try post(body), within: limit, sourceLocation: sourceLocation)
    }

    /// The code of the server's close frame, when the connection is gone; nil without one.
    func closeCode(within limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation) async -> UInt16? {
        await recorder.wait(within: limit) { $0.isClosed }
        let record = recorder.record
        if !record.isClosed { Issue.record("\(user) is still connected after \(limit)", sourceLocation: sourceLocation) }
        return record.closeCode
    }
}
