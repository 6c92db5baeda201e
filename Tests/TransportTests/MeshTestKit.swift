import Logging
import Membership
import MeshCore
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Transport

/// Waits for a condition, looking again on every turn of a loop, and fails the test at the deadline.
func eventually(
    _ what: String, within seconds: Int64 = 10, sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: @escaping @Sendable () async throws -> Bool
) async throws {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let deadline = NIODeadline.now() + .seconds(seconds)
    while try await !condition() {
        guard NIODeadline.now() < deadline else {
            Issue.record("not within \(seconds) s: \(what)", sourceLocation: sourceLocation)
            throw DeadlineMissed(what: what)
        }
        try await loop.scheduleTask(in: .milliseconds(2)) {}.futureResult.get()
    }
}

struct DeadlineMissed: Error {
    let what: String
}

/// A node with nothing but its links, and all that they report.
final class LinkedNode: Sendable {
    enum Event: Hashable {
        case up(NodeBoot, LinkNumber)
        case down(NodeBoot, LinkNumber, String)
        case received(LinkLane, [String])
    }

    let loop: any EventLoop
    let id: NodeBoot
    private let links: NIOLoopBound<MeshLinks>
    private let recorder: NIOLoopBound<Recorder>
    private let shared: Shared

    /// What tests read from other threads.
    private final class Shared: Sendable {
        let events = Mutex<[Event]>([])
        let current = Mutex<MeshLink?>(nil)
    }

    private final class Recorder: MeshLinksDelegate {
        let shared: Shared
        init(_ shared: Shared) { self.shared = shared }

        func linkUp(_ link: MeshLink) {
            shared.current.withLock { $0 = link }
            shared.events.withLock { $0.append(.up(link.peer, link.number)) }
        }

        func linkDown(_ link: MeshLink, reason: String) {
            shared.current.withLock { if $0 === link { $0 = nil } }
            shared.events.withLock { $0.append(.down(link.peer, link.number, reason)) }
        }

        func linkReceived(_ frames: [ByteBuffer], lane: LinkLane, from link: MeshLink) {
            let texts = frames.map { $0.readableBytes > 4096 ? "bytes \($0.readableBytes)" : String(buffer: $0) }
            shared.events.withLock { $0.append(.received(lane, texts)) }
        }
    }

    private init(loop: any EventLoop, id: NodeBoot, links: NIOLoopBound<MeshLinks>, recorder: NIOLoopBound<Recorder>, shared: Shared) {
        (self.loop, self.id, self.links, self.recorder, self.shared) = (loop, id, links, recorder, shared)
    }

    static func start(
        _ name: String, boot: Boot = 1, mesh: String = "test", version: UInt32 = LinkIdentity.protocolVersion, port: Int = 0,
        settings: LinkSettings = .quick, encryption: LinkEncryption? = nil
    ) async throws -> LinkedNode {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let id = NodeBoot(node: node(name), boot: boot)
        let shared = Shared()
        let (links, recorder) = try await loop.submit {
            let recorder = Recorder(shared)
            var logger = Logger(label: "test.\(name)")
            logger.logLevel = .critical
            let links = MeshLinks(
                identity: LinkIdentity(mesh: mesh, version: version, owner: id), listen: LinkAddress(host: "127.0.0.1", port: port),
                loop: loop, settings: settings, encryption: encryption, logger: logger, delegate: recorder)
            return (NIOLoopBound(links, eventLoop: loop), NIOLoopBound(recorder, eventLoop: loop))
        }.get()
        try await loop.flatSubmit { links.value.start() }.get()
        return LinkedNode(loop: loop, id: id, links: links, recorder: recorder, shared: shared)
    }

    static func node(_ name: String) -> NodeID { NodeID(region: RegionID("test"), name: name) }

    func onLoop<Answer: Sendable>(_ body: @escaping @Sendable (MeshLinks) throws -> Answer) async throws -> Answer {
        try await loop.submit { [links] in try body(links.value) }.get()
    }

    func setPeers(_ peers: [String: Int]) async throws {
        let addresses = Dictionary(
            uniqueKeysWithValues: peers.map { (Self.node($0.key), LinkAddress(host: "127.0.0.1", port: $0.value)) })
        try await onLoop { $0.setPeers(addresses) }
    }

    func stop() async throws {
        try await loop.flatSubmit { [links] in links.value.close() }.get()
    }

    func port() async throws -> Int { try #require(await onLoop { $0.port }) }
    func ends(_ label: String) async throws -> UInt64 { try await onLoop { $0.ends[label] ?? 0 } }
    func drops(_ reason: DropReason) async throws -> UInt64 { try await onLoop { $0.drops[reason] } }

    var events: [Event] { shared.events.withLock { $0 } }
    var link: MeshLink? { shared.current.withLock { $0 } }
    var ups: [NodeBoot] { events.compactMap { if case .up(let peer, _) = $0 { peer } else { nil } } }
    var downs: [String] { events.compactMap { if case .down(_, _, let reason) = $0 { reason } else { nil } } }

    func texts(_ lane: LinkLane) -> [String] {
        events.flatMap { event -> [String] in
            if case .received(lane, let texts) = event { texts } else { [] }
        }
    }

    func linkUp() async throws -> MeshLink {
        try await eventually("a link of \(id)") { [self] in link != nil }
        return try #require(link)
    }
}

extension LinkSettings {
    /// As fast as a busy machine allows.
    static var quick: LinkSettings {
        var settings = LinkSettings()
        settings.pingEvery = .milliseconds(20)
        settings.silence = .seconds(5)
        settings.redialLeast = .milliseconds(5)
        settings.redialMost = .milliseconds(40)
        return settings
    }
}

/// The other end of a link, without any of its logic: writes what it is told and keeps what it gets.
final class RawPeer: Sendable {
    let channel: any Channel
    private let shared: Shared

    private final class Shared: Sendable {
        let received = Mutex(ByteBuffer())
        let isClosed = Atomic(false)
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let shared: Shared
        init(_ shared: Shared) { self.shared = shared }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            shared.received.withLock { _ = $0.writeImmutableBuffer(bytes) }
        }

        func channelInactive(context: ChannelHandlerContext) { shared.isClosed.store(true, ordering: .releasing) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private init(channel: any Channel, shared: Shared) { (self.channel, self.shared) = (channel, shared) }

    static func connect(to port: Int) async throws -> RawPeer {
        let shared = Shared()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Handler(shared)) }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return RawPeer(channel: channel, shared: shared)
    }

    /// Listens; every connection goes to `accepted`.
    static func listen(reading: Bool = true, accepted: @escaping @Sendable (RawPeer) -> Void) async throws -> any Channel {
        try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: reading)
            .childChannelInitializer { channel in
                let shared = Shared()
                accepted(RawPeer(channel: channel, shared: shared))
                return channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Handler(shared)) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    var isClosed: Bool { shared.isClosed.load(ordering: .acquiring) }

    func send(_ bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes).get() }

    func say(_ messages: LinkMessage...) async throws {
        var bytes = ByteBuffer()
        for message in messages { message.append(to: &bytes) }
        try await send(bytes)
    }

    var receivedSoFar: ByteBuffer { shared.received.withLock { $0 } }
    var receivedBytes: Int { shared.received.withLock { $0.readableBytes } }

    /// All whole link messages that have come so far.
    func heard() throws -> [LinkMessage] {
        var bytes = receivedSoFar
        var decoder = MeshFrameDecoder(frameBytesMax: 8 << 20)
        var messages: [LinkMessage] = []
        while let frame = try decoder.next(&bytes) {
            guard frame.lane == MeshFraming.internalLane else { continue }
            messages.append(try LinkMessage(decoding: frame.payload))
        }
        return messages
    }

    func refusal() throws -> String? {
        for case .refuse(let reason) in try heard() { return reason }
        return nil
    }
}

func hello(
    _ name: String, boot: Boot = 1, mesh: String = "test", version: UInt32 = LinkIdentity.protocolVersion, looksFor expected: String? = nil
) -> LinkMessage {
    let owner = NodeBoot(node: LinkedNode.node(name), boot: boot)
    return .hello(LinkHello(identity: LinkIdentity(mesh: mesh, version: version, owner: owner), expected: expected.map(LinkedNode.node)))
}

func frame(_ text: String, _ lane: LinkLane = .tree) -> ByteBuffer {
    var buffer = ByteBuffer()
    MeshFraming.append(lane, to: &buffer) { $0.writeString(text) }
    return buffer
}
