import Membership
import MeshCore
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Transport

@Suite("Mesh links: handshake", .timeLimit(.minutes(1)))
struct MeshHandshakeTests {
    /// `b` with the peers `a` and `c`: `a` dials it, it dials `c`.
    private func acceptor(peers: [String: Int] = ["a": 1], settings: LinkSettings = .quick) async throws -> (LinkedNode, Int) {
        let node = try await LinkedNode.start("b", settings: settings)
        try await node.setPeers(peers)
        return (node, try await node.port())
    }

    @Test("two nodes link once, and both know the other's boot")
    func linksOnce() async throws {
        let a = try await LinkedNode.start("a", boot: 7)
        let b = try await LinkedNode.start("b", boot: 9)
        try await a.setPeers(["a": try await a.port(), "b": try await b.port()])
        try await b.setPeers(["a": try await a.port(), "b": try await b.port()])
        _ = try await a.linkUp()
        _ = try await b.linkUp()
        #expect(a.ups == [b.id])
        #expect(b.ups == [a.id])
        try await a.stop()
        try await eventually("b hears of it") { b.downs.count == 1 }
        #expect(b.downs == ["closed by the peer"])
        #expect(a.downs == ["this node stops"])
        try await b.stop()
    }

    @Test("the round trip is measured on both sides")
    func measuresRoundTrip() async throws {
        let a = try await LinkedNode.start("a")
        let b = try await LinkedNode.start("b")
        try await b.setPeers(["a": 1])
        try await a.setPeers(["b": try await b.port()])
        let links = [try await a.linkUp(), try await b.linkUp()]
        for link in links {
            try await eventually("a round trip") { link.figures.roundTrip.smoothed != nil }
            #expect((link.figures.roundTrip.last?.nanoseconds ?? 0) > 0)
            #expect(link.figures.framesIn >= 2)
        }
        try await a.stop()
        try await b.stop()
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let hello: LinkMessage
        let reason: String
        var testDescription: String { reason }
    }

    @Test(
        "a hello that is not welcome is refused, told why, and counted",
        arguments: [
            Bad(hello: hello("a", mesh: "other"), reason: "refused: mesh name other is not ours"),
            Bad(hello: hello("a", version: 99), reason: "refused: link version 99 is not ours"),
            Bad(hello: hello("aa"), reason: "refused: test/aa is not a peer"),
            Bad(hello: hello("c"), reason: "refused: test/c must wait to be dialled"),
            Bad(hello: hello("b"), reason: "refused: the peer carries this node's own name"),
            Bad(hello: hello("a", looksFor: "x"), reason: "refused: expected test/x, found test/b"),
            Bad(hello: hello(""), reason: "garbage: a name in a hello"),
            Bad(hello: hello(String(repeating: "n", count: 256)), reason: "garbage: a name in a hello"),
            Bad(hello: .ping(seq: 1), reason: "garbage: a ping or pong before the hello"),
        ])
    func refusesHello(_ bad: Bad) async throws {
        let (b, port) = try await acceptor()
        let peer = try await RawPeer.connect(to: port)
        try await peer.say(bad.hello)
        try await eventually("the connection is closed") { peer.isClosed }
        #expect(try peer.heard() == [.refuse(bad.reason)])
        #expect(b.events.isEmpty)
        let counted = try await b.drops(.linkRefused) + b.drops(.linkGarbage)
        #expect(counted == 1)
        try await b.stop()
    }

    @Test("a node that is refused says so on its side, and goes on trying")
    func refusedNodeKnows() async throws {
        let (b, port) = try await acceptor(peers: [:])
        let a = try await LinkedNode.start("a")
        try await a.setPeers(["b": port])
        try await eventually("two refusals") { try await a.ends("refused_by_peer") >= 2 }
        #expect(a.ups.isEmpty)
        #expect(try await a.drops(.linkRefused) >= 2)
        try await b.setPeers(["a": 1])
        _ = try await a.linkUp()
        try await a.stop()
        try await b.stop()
    }

    @Test("an answer from another node than the one that was dialled is refused")
    func refusesOtherAnswer() async throws {
        let accepted = Mutex<RawPeer?>(nil)
        let server = try await RawPeer.listen { peer in accepted.withLock { $0 = peer } }
        let a = try await LinkedNode.start("a")
        try await a.setPeers(["b": try #require(server.localAddress?.port)])
        try await eventually("the dial") { try accepted.withLock { try $0?.heard().isEmpty } == false }
        let peer = try #require(accepted.withLock { $0 })
        #expect(try peer.heard() == [hello("a", looksFor: "b")])
        try await peer.say(hello("c"))
        try await eventually("the refusal") { try peer.refusal() != nil }
        #expect(try peer.refusal() == "refused: expected test/b, found test/c")
        #expect(a.ups.isEmpty)
        try await server.close()
        try await a.stop()
    }

    @Test(
        "bytes that are no frame, or no frame of ours, end the connection",
        arguments: [
            (ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"), DropReason.frameTooLarge),
            (ByteBuffer(bytes: [0, 0, 0, 0, 0]), .linkGarbage),
            (ByteBuffer(bytes: [0, 0, 0, 4, 0, 0xFF, 0xFF, 0xFF]), .linkGarbage),
            (ByteBuffer(bytes: [0, 0, 0, 1, 0]), .linkGarbage),
            (ByteBuffer(bytes: [0, 0, 0, 2, 9, 1]), .linkGarbage),
            (ByteBuffer(bytes: [0, 0, 0, 2, 2, 1]), .linkGarbage),
        ])
    func garbage(_ bytes: ByteBuffer, _ reason: DropReason) async throws {
        let (b, port) = try await acceptor()
        let peer = try await RawPeer.connect(to: port)
        try await peer.send(bytes)
        try await eventually("the connection is closed") { peer.isClosed }
        #expect(try await b.drops(reason) == 1)
        #expect(b.events.isEmpty)
        try await b.stop()
    }

    @Test("garbage on a link that is up takes it down, with the reason at both ends")
    func garbageLater() async throws {
        let (b, port) = try await acceptor()
        let peer = try await RawPeer.connect(to: port)
        try await peer.say(hello("a"))
        _ = try await b.linkUp()
        try await peer.say(hello("a"))
        try await eventually("down") { b.downs.count == 1 }
        #expect(b.downs == ["garbage: a second hello"])
        try await eventually("the refusal") { try peer.refusal() == "garbage: a second hello" }
        try await b.stop()
    }

    @Test("half a hello, or none, is waited for no longer than the time-out")
    func halfHello() async throws {
        var settings = LinkSettings.quick
        settings.handshakeTimeout = .seconds(2)
        settings.lingerMost = .milliseconds(50)
        let (b, port) = try await acceptor(settings: settings)
        var whole = ByteBuffer()
        hello("a").append(to: &whole)
        let half = try await RawPeer.connect(to: port)
        let start = whole.readSlice(length: whole.readableBytes / 2)
        try await half.send(try #require(start))
        let none = try await RawPeer.connect(to: port)
        try await eventually("both are closed") { half.isClosed && none.isClosed }
        #expect(try await b.drops(.handshakeTimeout) == 2)
        #expect(try none.refusal() == "no hello within 2000 ms")
        try await b.stop()
    }

    @Test("a dialled peer that never answers is given up and dialled again")
    func silentListener() async throws {
        var settings = LinkSettings.quick
        settings.handshakeTimeout = .milliseconds(30)
        settings.lingerMost = .milliseconds(20)
        let dials = Atomic(0)
        let server = try await RawPeer.listen { _ in dials.add(1, ordering: .relaxed) }
        let a = try await LinkedNode.start("a", settings: settings)
        try await a.setPeers(["b": try #require(server.localAddress?.port)])
        try await eventually("two are given up") { try await a.drops(.handshakeTimeout) >= 2 }
        try await eventually("both had connected") { dials.load(ordering: .relaxed) >= 2 }
        try await server.close()
        try await a.stop()
    }

    @Test("a link whose peer falls silent is closed")
    func silentLink() async throws {
        var settings = LinkSettings.quick
        settings.pingEvery = .milliseconds(20)
        settings.silence = .milliseconds(150)
        let (b, port) = try await acceptor(settings: settings)
        let peer = try await RawPeer.connect(to: port)
        try await peer.say(hello("a"))
        try await eventually("down") { b.downs.count == 1 }
        #expect(b.downs.first?.hasPrefix("silent for") == true)
        #expect(try await b.drops(.linkSilent) == 1)
        try await eventually("the peer had been asked") { try peer.heard().contains(.ping(seq: 1)) && peer.isClosed }
        try await b.stop()
    }

    @Test("a newer boot replaces the link, and so does the same boot; an older one is refused")
    func replaces() async throws {
        let (b, port) = try await acceptor()
        let first = try await RawPeer.connect(to: port)
        try await first.say(hello("a", boot: 5))
        try await eventually("boot 5") { b.ups.count == 1 }
        let again = try await RawPeer.connect(to: port)
        try await again.say(hello("a", boot: 5))
        try await eventually("boot 5 again") { b.ups.count == 2 }
        let newer = try await RawPeer.connect(to: port)
        try await newer.say(hello("a", boot: 6))
        try await eventually("boot 6") { b.ups.count == 3 }
        try await eventually("the old ones are closed") { first.isClosed && again.isClosed }
        let older = try await RawPeer.connect(to: port)
        try await older.say(hello("a", boot: 5))
        try await eventually("the refusal") { older.isClosed }
        #expect(try older.refusal() == "refused: boot 5 is older than 6")
        // Down of the old always stands before up of the new.
        let kinds = b.events.map { event -> String in
            switch event {
            case .up(let peer, _): "up \(peer.boot)"
            case .down(let peer, _, let reason): "down \(peer.boot) \(reason)"
            case .received: "received"
            }
        }
        let replaced = "replaced by a newer link of the peer"
        #expect(kinds == ["up 5", "down 5 \(replaced)", "up 5", "down 5 \(replaced)", "up 6"])
        #expect(!newer.isClosed)
        try await b.stop()
    }

    @Test("a peer that restarts with a higher boot is dialled again at the same address")
    func restarts() async throws {
        let a = try await LinkedNode.start("a")
        let b = try await LinkedNode.start("b", boot: 1)
        let port = try await b.port()
        try await b.setPeers(["a": 1])
        try await a.setPeers(["b": port])
        _ = try await (a.linkUp(), b.linkUp())
        try await b.stop()
        try await eventually("a hears of it") { a.downs.count == 1 }
        try await eventually("it is dialled in vain") { try await a.ends("unreachable") >= 1 }
        let reborn = try await LinkedNode.start("b", boot: 2, port: port)
        try await reborn.setPeers(["a": 1])
        _ = try await reborn.linkUp()
        try await eventually("a is linked again") { a.ups.count == 2 }
        #expect(a.ups.map(\.boot) == [1, 2])
        try await a.stop()
        try await reborn.stop()
    }

    @Test("a peer taken off the list loses its link and is not dialled any more; put back, it returns")
    func removesPeer() async throws {
        let a = try await LinkedNode.start("a")
        let b = try await LinkedNode.start("b")
        let port = try await b.port()
        try await b.setPeers(["a": 1])
        try await a.setPeers(["b": port])
        _ = try await (a.linkUp(), b.linkUp())
        try await a.setPeers([:])
        try await eventually("both report it") { a.downs.count == 1 && b.downs.count == 1 }
        #expect(a.downs == ["no longer a peer"])
        #expect(try await a.onLoop { $0.links.isEmpty })
        try await a.setPeers(["b": port])
        try await eventually("linked again") { a.ups.count == 2 }
        try await a.stop()
        try await b.stop()
    }

    @Test("more half-open connections than the bound are closed at once; links are not counted")
    func boundsHandshakes() async throws {
        var settings = LinkSettings.quick
        settings.handshakesMax = 2
        let (b, port) = try await acceptor(settings: settings)
        let linked = try await RawPeer.connect(to: port)
        try await linked.say(hello("a"))
        _ = try await b.linkUp()
        var waiting: [RawPeer] = []
        for _ in 0..<3 { waiting.append(try await RawPeer.connect(to: port)) }
        let peers = waiting
        try await eventually("one is closed") { peers.contains(where: \.isClosed) }
        #expect(peers.count(where: \.isClosed) == 1)
        #expect(try await b.drops(.connectionLimit) == 1)
        #expect(b.link != nil)
        try await b.stop()
    }

    @Test("a port that is taken fails the start")
    func portTaken() async throws {
        let a = try await LinkedNode.start("a")
        let port = try await a.port()
        await #expect(throws: IOError.self) { _ = try await LinkedNode.start("b", port: port) }
        try await a.stop()
    }
}
