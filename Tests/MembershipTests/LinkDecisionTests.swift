import Membership
import MeshCore
import Testing

private func node(_ name: String) -> NodeID { NodeID(region: RegionID("eu"), name: name) }

private func at(_ milliseconds: Int) -> Instant { Instant.zero + .milliseconds(milliseconds) }

private func identity(_ name: String, boot: Boot = 1, mesh: String = "m", version: UInt32 = 1) -> LinkIdentity {
    LinkIdentity(mesh: mesh, version: version, owner: NodeBoot(node: node(name), boot: boot))
}

/// A class around each machine: an expectation cannot hold a mutating call.
private final class Table {
    private var machine = LinkTable()
    var peers: Set<NodeID> { Set(machine.peers) }
    func setPeers(_ peers: [NodeID]) -> [LinkNumber] { machine.setPeers(peers) }
    func admit(_ peer: NodeBoot, as link: LinkNumber) -> LinkTable.Admission { machine.admit(peer, as: link) }
    func ended(_ link: LinkNumber, to node: NodeID) { machine.ended(link, to: node) }
}

private final class Liveness {
    private var machine = LinkLiveness(pingEvery: .milliseconds(500), silence: .seconds(3), now: .zero)
    var roundTrip: RoundTrip { machine.roundTrip }
    func tick(_ milliseconds: Int) -> LinkLiveness.TickResult { machine.tick(now: at(milliseconds)) }
    func heard(_ milliseconds: Int) { machine.bytesReceived(now: at(milliseconds)) }
    func pong(_ seq: UInt64, _ milliseconds: Int) -> Bool { machine.pongReceived(seq: seq, now: at(milliseconds)) }
}

@Suite("Link handshake")
struct LinkHandshakeTests {
    private let dialer = LinkHandshake(own: identity("a"), role: .dialer(of: node("b")))
    private let acceptor = LinkHandshake(own: identity("b"), role: .acceptor)

    @Test("the side that dialled speaks first and names whom it expects; the other answers")
    func whoSpeaks() throws {
        let opening = try #require(dialer.opening)
        #expect(opening == LinkHello(identity: identity("a"), expected: node("b")))
        #expect(acceptor.opening == nil)
        #expect(acceptor.check(opening) == nil)
        let answer = try #require(acceptor.answer)
        #expect(dialer.answer == nil)
        #expect(dialer.check(answer) == nil)
    }

    @Test("mesh and version come first, on both sides")
    func meshAndVersion() {
        for side in [dialer, acceptor] {
            #expect(side.check(LinkHello(identity: identity("z", mesh: "x", version: 2))) == .otherMesh("x"))
            #expect(side.check(LinkHello(identity: identity("z", version: 2))) == .otherVersion(2))
        }
    }

    @Test("names and directions")
    func names() {
        #expect(dialer.check(LinkHello(identity: identity("c"))) == .wrongAddress(expected: node("b"), found: node("c")))
        #expect(
            acceptor.check(LinkHello(identity: identity("a"), expected: node("x"))) == .wrongAddress(expected: node("x"), found: node("b")))
        #expect(acceptor.check(LinkHello(identity: identity("b"))) == .ownName)
        #expect(acceptor.check(LinkHello(identity: identity("c"))) == .wrongDirection(node("c")))
    }

    @Test("a certificate must be for the node that speaks, of the same mesh")
    func certificates() {
        let uri = node("a").certificateName(mesh: "m")
        #expect(uri == "spiffe://m/region/eu/node/a")
        func refusal(_ names: [String]?) -> LinkRefusal? {
            LinkHandshake(own: identity("b"), role: .acceptor, certifiedNames: names).check(LinkHello(identity: identity("a")))
        }
        #expect(refusal(nil) == nil, "a link in the clear believes the hello")
        #expect(refusal([uri]) == nil)
        #expect(refusal(["https://x", uri]) == nil)
        for names in [
            [], [node("c").certificateName(mesh: "m")], [node("a").certificateName(mesh: "other")], [uri + "/"], [String(uri.dropLast())],
        ] {
            #expect(refusal(names) == .otherCertificate(node("a"), certifiedNames: names))
        }
        let dialling = LinkHandshake(own: identity("a"), role: .dialer(of: node("b")), certifiedNames: [uri])
        #expect(dialling.check(LinkHello(identity: identity("b"))) == .otherCertificate(node("b"), certifiedNames: [uri]))
        #expect(dialling.refusalBeforeHello == .otherCertificate(node("b"), certifiedNames: [uri]), "nothing is told to a stranger")
        let right = node("b").certificateName(mesh: "m")
        #expect(LinkHandshake(own: identity("a"), role: .dialer(of: node("b")), certifiedNames: [right]).refusalBeforeHello == nil)
        #expect(dialer.refusalBeforeHello == nil)
        #expect(
            LinkHandshake(own: identity("b"), role: .acceptor, certifiedNames: []).refusalBeforeHello == nil, "whom to expect comes first")
    }

    @Test("exactly one of a pair dials")
    func direction() {
        #expect(LinkRole.dials(node("a"), to: node("b")))
        #expect(!LinkRole.dials(node("b"), to: node("a")))
        #expect(!LinkRole.dials(node("a"), to: node("a")))
    }
}

@Suite("Link table")
struct LinkTableTests {
    private func table() -> Table {
        let table = Table()
        #expect(table.setPeers([node("a"), node("b")]).isEmpty)
        return table
    }

    private func a(_ boot: Boot) -> NodeBoot { NodeBoot(node: node("a"), boot: boot) }

    @Test("same and newer boots replace, older ones are refused even when no link stands")
    func boots() {
        let table = table()
        #expect(table.admit(a(5), as: 1) == .admitted(replacing: nil))
        #expect(table.admit(a(5), as: 2) == .admitted(replacing: 1))
        #expect(table.admit(a(4), as: 3) == .refused(.olderBoot(4, newest: 5)))
        #expect(table.admit(a(6), as: 4) == .admitted(replacing: 2))
        table.ended(4, to: node("a"))
        #expect(table.admit(a(5), as: 5) == .refused(.olderBoot(5, newest: 6)))
        #expect(table.admit(a(6), as: 6) == .admitted(replacing: nil))
    }

    @Test("the late end of a link that was replaced does not take its successor away")
    func lateEnd() {
        let table = table()
        _ = table.admit(a(1), as: 1)
        _ = table.admit(a(1), as: 2)
        table.ended(1, to: node("a"))
        #expect(table.admit(a(1), as: 3) == .admitted(replacing: 2))
    }

    @Test("a peer that is taken off the list gives its link back and is refused")
    func removal() {
        let table = table()
        _ = table.admit(a(1), as: 1)
        #expect(table.setPeers([node("b"), node("c")]) == [1])
        #expect(table.admit(a(1), as: 2) == .refused(.unknownNode(node("a"))))
        #expect(table.peers == [node("b"), node("c")])
        #expect(table.setPeers([node("b"), node("c")]).isEmpty)
    }
}

@Suite("Link liveness")
struct LinkLivenessTests {
    @Test("pings are numbered; the round trip comes from the pong that carries the number")
    func roundTrip() {
        let link = Liveness()
        #expect(link.tick(500) == .ping(seq: 1))
        #expect(link.tick(1000) == .ping(seq: 2))
        #expect(link.pong(2, 1080))
        #expect(link.roundTrip.last == .milliseconds(80))
        #expect(!link.pong(2, 1090), "answered already")
        #expect(!link.pong(1, 1090), "older than an answered one")
        #expect(!link.pong(9, 1090), "never asked")
        link.heard(1080)
        #expect(link.tick(1500) == .ping(seq: 3))
        #expect(link.pong(3, 1660))
        #expect(link.roundTrip.last == .milliseconds(160))
        #expect(link.roundTrip.smoothed == .milliseconds(90))
    }

    @Test("silence is counted from the last byte, and ends the link at the bound")
    func silence() {
        let link = Liveness()
        for tick in 1...5 { #expect(link.tick(tick * 500) == .ping(seq: UInt64(tick))) }
        #expect(link.tick(3000) == .silent(for: .seconds(3)))
    }

    @Test("any byte counts as life")
    func life() {
        let link = Liveness()
        for tick in 1...5 { #expect(link.tick(tick * 500) == .ping(seq: UInt64(tick))) }
        link.heard(2600)
        for tick in 6...11 { #expect(link.tick(tick * 500) == .ping(seq: UInt64(tick))) }
        #expect(link.tick(6000) == .silent(for: .milliseconds(3400)))
    }

    @Test("a process that did not run does not hold it against its peer")
    func pausedProcess() {
        let link = Liveness()
        #expect(link.tick(500) == .ping(seq: 1))
        #expect(link.tick(60_000) == .ping(seq: 2))
        for tick in 1...3 { #expect(link.tick(60_000 + tick * 500) == .ping(seq: UInt64(2 + tick))) }
        #expect(link.tick(62_000) == .silent(for: .seconds(3)), "and then the peer has had its time")
    }

    @Test("pings without a pong are forgotten, oldest first")
    func forgets() {
        let link = Liveness()
        for tick in 1...40 {
            link.heard(tick * 500)
            #expect(link.tick(tick * 500) == .ping(seq: UInt64(tick)))
        }
        #expect(!link.pong(1, 20_000))
        #expect(link.pong(25, 20_000))
    }
}

@Suite("Link re-dial")
struct LinkRedialTests {
    @Test("delays double within their bounds and start anew only after a link that stood")
    func delays() {
        var random = SeededRandom(seed: 1)
        var redial = LinkRedial(least: .milliseconds(100), most: .seconds(2), stableAfter: .seconds(5))
        var most = 100
        for _ in 0..<10 {
            let delay = redial.delay(upSince: nil, now: at(0), using: &random).milliseconds
            #expect((most / 2...most).contains(delay))
            most = min(2000, most * 2)
        }
        let short = redial.delay(upSince: at(0), now: at(4999), using: &random).milliseconds
        #expect((1000...2000).contains(short), "a link that was dropped soon is no reason to hurry")
        let long = redial.delay(upSince: at(0), now: at(5000), using: &random).milliseconds
        #expect((50...100).contains(long))
    }
}

@Suite("Link ends")
struct LinkEndTests {
    @Test("every end that somebody is to blame for is counted under a reason, and labels differ")
    func labels() {
        let ends: [LinkEnd] = [
            .unreachable, .refused(.ownName), .refusedByPeer(""), .handshakeTimeout(.zero), .garbage(""),
            .frameTooLarge(bytes: 2, bytesMax: 1), .silent(.zero), .queueFull(bytesMax: 1), .tooManyHandshakes(1), .replaced,
            .peerRemoved, .peerClosed, .failed(""), .shutdown,
        ]
        #expect(Set(ends.map(\.label)).count == ends.count)
        for end in ends where end.isToldToPeer { #expect(end.dropReason != nil) }
        #expect(LinkEnd.refused(.ownName).dropReason == .linkRefused)
        #expect(LinkEnd.shutdown.dropReason == nil)
    }
}
