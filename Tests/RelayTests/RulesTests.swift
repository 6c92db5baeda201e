import JWTKit
import MeshCore
import Presence
import Session
import SwiftProtobuf
import Testing
import Wire

@testable import Relay

private struct Claims: JWTPayload {
    struct Room: Codable, Sendable {
        var match: String
        var can: [String]?
    }

    var sub: String?
    var exp: Double?
    var device: String?
    var role: String?
    var rooms: [Room]?
    var extra: [String: String]?

    func verify(using algorithm: some JWTAlgorithm) async throws {}
}

private let secret = Array("a secret of this mesh, long enough".utf8)
private let nowMs: WallMilliseconds = 1_700_000_000_000
private let later = 1_700_000_060.0

private func sign(_ claims: Claims, with key: [UInt8] = secret) async throws -> String {
    try await JWTKeyCollection().add(hmac: HMACKey(from: key), digestAlgorithm: .sha256).sign(claims)
}

private func verify(_ token: String) async -> Result<Grants, TokenVerifier.Fault> {
    await TokenVerifier(secret: secret).verify(token, now: nowMs)
}

@Suite("Tokens") struct TokenVerifierTests {
    private func isInvalid(_ token: String) async -> Bool {
        if case .failure(.invalid) = await verify(token) { true } else { false }
    }

    @Test("all that a token says") func full() async throws {
        let token = try await sign(
            Claims(
                sub: "alice", exp: later, device: "phone", role: "guest",
                rooms: [.init(match: "team-*", can: ["publish", "subscribe", "fly"]), .init(match: "lobby")], extra: ["unknown": "claim"]))
        #expect(
            try await verify(token).get()
                == Grants(
                    user: "alice", device: "phone", role: .guest,
                    rooms: [
                        .init(match: "team-*", can: [.publish, .subscribe]), .init(match: "lobby", can: [.subscribe, .presence, .history]),
                    ], expiresAt: 1_700_000_060))
    }

    @Test("the least a token says: a member, everywhere") func least() async throws {
        let token = try await sign(Claims(sub: "alice", exp: later))
        #expect(try await verify(token).get() == Grants(user: "alice", role: .member, rooms: nil, expiresAt: 1_700_000_060))
    }

    @Test("expired is told from invalid, to the second") func expired() async throws {
        #expect(await verify(try await sign(Claims(sub: "alice", exp: 1_700_000_000))) == .failure(.expired))
        #expect(await verify(try await sign(Claims(sub: "alice", exp: -1))) == .failure(.expired))
        #expect((try? await verify(try await sign(Claims(sub: "alice", exp: 1_700_000_001))).get()) != nil)
    }

    @Test("another secret, a changed payload, no signature, no token") func signatures() async throws {
        let good = try await sign(Claims(sub: "alice", exp: later))
        #expect(
            await isInvalid(
                try await sign(Claims(sub: "alice", exp: later), with: Array("another secret altogether, of another mesh".utf8))))
        let parts = good.split(separator: ".").map(String.init)
        let other = try await sign(Claims(sub: "mallory", exp: later)).split(separator: ".").map(String.init)
        #expect(await isInvalid("\(parts[0]).\(other[1]).\(parts[2])"))
        #expect(await isInvalid("\(parts[0]).\(parts[1])."))
        for text in ["", ".", "..", "a.b.c", "\(parts[0]).\(parts[1])"] { #expect(await isInvalid(text), "\(text)") }
    }

    /// {"alg":"none","typ":"JWT"} and {"alg":"HS384","typ":"JWT"}.
    @Test(
        "an algorithm that the token chose itself",
        arguments: ["eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0", "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9"])
    func algorithms(_ header: String) async throws {
        let parts = try await sign(Claims(sub: "alice", exp: later)).split(separator: ".")
        #expect(await isInvalid("\(header).\(parts[1])."))
        #expect(await isInvalid("\(header).\(parts[1]).\(parts[2])"))
    }

    @Test("no user, no expiry, or unusable ones") func claims() async throws {
        for claims in [
            Claims(exp: later), Claims(sub: "", exp: later), Claims(sub: "@alice", exp: later), Claims(sub: "a b", exp: later),
            Claims(sub: "alice"), Claims(sub: "alice", exp: 1e300), Claims(sub: "alice", exp: later, role: "king"),
        ] {
            #expect(await isInvalid(try await sign(claims)), "\(claims)")
        }
    }
}

@Suite("A hello") struct SessionOpeningTests {
    private let tickets = SessionTickets(secret: Array("secret".utf8))

    private func opening(_ fill: (inout RelayHello) -> Void = { _ in }, device: String? = nil) -> Result<SessionOpening, RequestFault> {
        var hello = RelayHello()
        fill(&hello)
        let grants = Grants(user: "alice", device: device, expiresAt: 0)
        do throws(RequestFault) {
            return .success(try SessionOpening(hello, grants, tickets: tickets, defaultHeartbeat: .seconds(25)))
        } catch {
            return .failure(error)
        }
    }

    private func fault(_ fill: (inout RelayHello) -> Void) -> RelayErrorCode? {
        if case .failure(let fault) = opening(fill) { fault.code } else { nil }
    }

    @Test("with nothing in it: a random device, online, the default heartbeat") func empty() throws {
        let first = try opening().get()
        let second = try opening().get()
        #expect(first.status == .online && first.heartbeat == .seconds(25))
        #expect(first.device.utf8.count == 16 && first.device != second.device)
        #expect(first.ticket == nil)
    }

    @Test("a session that goes on keeps its device, unless another is named") func ticket() throws {
        func text(user: String) -> String {
            let owner = NodeBoot(node: NodeID(region: RegionID("eu"), name: "n"), boot: 1)
            return tickets.text(
                for: SessionTicket(identity: 1, secret: 2, taken: 3, owner: owner, number: 4, user: user, device: "phone"))
        }
        let same = try opening { $0.session = text(user: "alice") }.get()
        #expect(same.ticket?.identity == 1 && same.ticket?.taken == 3 && same.device == "phone")
        let other = opening {
            $0.session = text(user: "alice")
            $0.device = "laptop"
        }
        #expect(try other.get().device == "laptop")
        #expect(fault { $0.session = text(user: "bob") } == .invalidArgument)
        #expect(fault { $0.session = "nonsense" } == .invalidArgument)
        #expect(try opening { $0.session = "" }.get().ticket == nil)
    }

    @Test("as many rooms are resumed as a welcome can name") func resumedRooms() throws {
        let rooms = (0..<2_001).map { number in RelayResume.with { $0.room = "r\(number)" } }
        #expect(fault { $0.resume = rooms } == .invalidArgument)
        _ = try opening { $0.resume = Array(rooms.dropLast()) }.get()
    }

    @Test("heartbeats of 5 to 60 seconds") func heartbeat() throws {
        for seconds: UInt32 in [5, 60] { #expect(try opening { $0.heartbeatSeconds = seconds }.get().heartbeat == .seconds(Int(seconds))) }
        for seconds: UInt32 in [0, 4, 61, .max] { #expect(fault { $0.heartbeatSeconds = seconds } == .invalidArgument) }
    }

    @Test("the token's device wins over the hello's") func device() throws {
        #expect(try opening { $0.device = "phone" }.get().device == "phone")
        #expect(try opening({ $0.device = "phone" }, device: "bound").get().device == "bound")
        #expect(try opening { $0.device = String(repeating: "d", count: 128) }.get().device.count == 128)
        #expect(fault { $0.device = String(repeating: "d", count: 129) } == .invalidArgument)
    }

    @Test("statuses that one may claim") func status() throws {
        for (claimed, status) in [(RelayStatus.online, Status.online), (.away, .away), (.busy, .busy), (.invisible, .invisible)] {
            #expect(try opening { $0.status = claimed }.get().status == status)
            #expect(RelayStatus(status) == claimed)
        }
        for claimed in [RelayStatus.offline, .unknown, .UNRECOGNIZED(9)] { #expect(fault { $0.status = claimed } == .invalidArgument) }
    }

    @Test(
        "refusals as clients see them",
        arguments: [
            (Refusal.Reason.unavailable, RelayErrorCode.unavailable, 250), (.unreachable, .unavailable, 250), (.notRoot, .unavailable, 250),
            (.outOfSequence, .unavailable, 250), (.exhausted, .resourceExhausted, 0), (.unimplemented, .unimplemented, 0),
        ])
    func refusals(_ reason: Refusal.Reason, _ code: RelayErrorCode, _ retryAfterMs: Int) {
        let fault = RequestFault(Refusal(reason, "why"))
        #expect(fault.code == code && fault.retryAfterMs == retryAfterMs && fault.message == "why")
        #expect(RequestFault(Refusal(.unavailable, "", retryAfterMs: 900)).retryAfterMs == 900)
    }
}

/// A class: an expectation cannot hold a mutating call.
private final class Requests {
    private var table: RequestTable
    private(set) var answered: [String] = []
    init(cell: Int = 1, cells: Int = 3, most: Int = 100) { table = RequestTable(cell: cell, cells: cells, most: most) }

    var count: Int { table.count }
    func add(_ name: String, deadlineMs: Int) -> UInt64? {
        table.add(deadline: .zero + .milliseconds(deadlineMs)) { [unowned self] _ in answered.append(name) }
    }
    func answer(_ id: UInt64) { table.take(id)?(.history([], more: false)) }
    func expire(atMs ms: Int) -> [String] {
        answered = []
        for completion in table.expired(now: .zero + .milliseconds(ms)) { completion(.history([], more: false)) }
        return answered
    }
}

@Suite("Requests without an answer") struct RequestTableTests {
    @Test("ids are unique in the node and lead back to their cell") func ids() {
        var seen: Set<UInt64> = []
        for cell in 0..<3 {
            let requests = Requests(cell: cell)
            for _ in 0..<20 {
                guard let id = requests.add("x", deadlineMs: 1) else { continue }
                #expect(seen.insert(id).inserted)
                #expect(RequestTable.cell(of: id, cells: 3) == cell)
            }
        }
        #expect(seen.count == 60)
    }

    @Test("each is answered once") func once() throws {
        let requests = Requests()
        let id = try #require(requests.add("a", deadlineMs: 100))
        requests.answer(id)
        requests.answer(id)
        requests.answer(999)
        #expect(requests.answered == ["a"])
        #expect(requests.expire(atMs: 1000) == [])
    }

    @Test("a short deadline does not wait behind a long one") func deadlines() {
        let requests = Requests()
        _ = requests.add("publish", deadlineMs: 30_000)
        _ = requests.add("history", deadlineMs: 5000)
        _ = requests.add("members", deadlineMs: 5000)
        #expect(requests.expire(atMs: 4999) == [])
        #expect(requests.expire(atMs: 5000) == ["history", "members"])
        #expect(requests.expire(atMs: 29_999) == [])
        #expect(requests.expire(atMs: 30_000) == ["publish"])
        #expect(requests.count == 0)
    }

    @Test("bounded, and free again after an answer") func bound() throws {
        let requests = Requests(most: 2)
        let id = try #require(requests.add("a", deadlineMs: 1))
        #expect(requests.add("b", deadlineMs: 1) != nil)
        #expect(requests.add("c", deadlineMs: 1) == nil)
        requests.answer(id)
        #expect(requests.add("c", deadlineMs: 1) != nil)
    }
}
