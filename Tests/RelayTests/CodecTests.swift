import MeshCore
import NIOCore
import Presence
import Push
import Rooms
import SwiftProtobuf
import Testing
import Transport
import View
import Wire

@testable import Relay

private let owner = NodeBoot(node: NodeID(region: RegionID("eu"), name: "n1"), boot: 1 << 60)
private let entries = [
    MemberEntry(session: 1, user: "alice", device: "phone", status: .busy, note: "in a call", identity: .max, taken: 9),
    MemberEntry(session: .max, user: "größe", device: "", status: .invisible, note: ""),
]
private let members = [
    Member(user: "alice", status: .away, note: "n", devices: 3), Member(user: "bob", status: .online, note: "", devices: 1),
]
private let place = Position(epoch: 1 << 40, seq: 77)
private let other = Position(epoch: 3, seq: 1)

private let receipts = [
    Receipt(ReceiptOwner(user: "alice"), ReceiptPositions(delivered: place, read: other)),
    Receipt(ReceiptOwner(user: "größe", isHidden: true), .none),
]
private let wholeReceipts = ReceiptUpdate(
    isWhole: true, isSummarized: true, receipts: receipts,
    summary: ReceiptSummary(lowest: ReceiptPositions(delivered: other), highest: ReceiptPositions(delivered: place, read: other)))

private func body(_ text: String) -> ByteBuffer { ByteBuffer(string: text) }
private func publishAsk(_ durability: RelayDurability) -> PublishAsk {
    let publication = Publication(user: "alice", key: "k", durability: durability, body: body("text"))
    return PublishAsk(session: 5, number: 6, base: 4, publication: publication)
}

/// Over the bytes that a link carries.
private func carried(_ frame: MeshTreeFrame) throws -> MeshTreeFrame {
    let bytes: [UInt8] = try frame.serializedBytes()
    return try #require(TreeCodec.decode(ByteBuffer(bytes: bytes)))
}

@Suite("Mesh frames of the tree") struct TreeCodecTests {
    private static let ups: [TreeUp] = [
        .join(generation: 9, interest: [.messages, .receipts], fence: Fence(viewEpoch: 4, rosterVersion: 5)),
        .leave(generation: .max),
        .typing(user: "alice", active: true),
        .typing(user: "alice", active: false),
        .receipts([]), .receipts(receipts),
        .announce([]),
        .announce([
            OwnerUpdatePart(OwnerUpdate(owner: owner, version: 3, content: .snapshot(entries))),
            OwnerUpdatePart(OwnerUpdate(owner: owner, version: 4, content: .snapshot([]))),
            OwnerUpdatePart(
                OwnerUpdate(owner: owner, version: 5, content: .delta(from: 4, upserted: entries, removed: [1, .max])), number: 7,
                hasMore: true),
            OwnerUpdatePart(OwnerUpdate(owner: owner, version: 5, content: .gone)),
        ]),
    ]

    @Test("what goes up arrives as it was", arguments: TreeCodecTests.ups.indices)
    func up(_ index: Int) throws {
        let up = Self.ups[index]
        let frame = try carried(TreeCodec.frame("lobby", up))
        #expect(frame.room == "lobby")
        #expect(TreeCodec.up(frame).map { "\($0)" } == "\(up)")
        #expect(TreeCodec.down(frame) == nil)
    }

    private static let diff = {
        var diff = MemberDiff()
        diff.joined = [members[0]]
        diff.updated = [members[1]]
        diff.left = ["carol"]
        diff.count = 700
        diff.lastSeen = 1_700_000_000_000
        diff.isLarge = true
        return diff
    }()

    private static let downs: [TreeDown] = [
        .joined(RoomState(generation: 7, head: place, members: members, count: 900, lastSeen: 5, typing: ["alice", "bob"])),
        .joined(RoomState(generation: 7, head: .zero)), .joined(RoomState(generation: 7, head: nil)),
        .refused(generation: 8),
        .members(generation: 9, diff),
        .typing(generation: 10, [.init(user: "alice", active: true), .init(user: "bob", active: false)]),
        .receipts(generation: 12, ReceiptUpdate(isWhole: false, receipts: receipts)),
        .receipts(generation: 12, wholeReceipts),
        .directReceipt(generation: 13, DirectReceipt(user: "bob", positions: ReceiptPositions(delivered: place, read: other))),
        .joined(RoomState(generation: 7, head: place, receipts: wholeReceipts)),
        .presenceAsked,
        .joined(RoomState(generation: 7, head: place, isSettling: true)),
        .joined(RoomState(generation: 7, head: place, deletedUpTo: other)), .joined(RoomState(generation: 7, deletedUpTo: .zero)),
        .memberList(generation: 12, MemberList(members: members, count: 900, lastSeen: 5)),
        .hidden(true), .hidden(false),
        .deleted(generation: 12, RoomDeletion(upTo: place, endsUser: true)),
        .deleted(generation: 12, RoomDeletion(upTo: .zero, endsUser: false)),
        .delivery(generation: 11, Delivery(gap: .init(from: other, to: place))),
        .delivery(generation: 11, Delivery()),
    ]

    @Test("what goes down arrives as it was", arguments: TreeCodecTests.downs.indices)
    func down(_ index: Int) throws {
        let down = Self.downs[index]
        let frame = try carried(TreeCodec.frame("lobby", down))
        #expect(TreeCodec.down(frame).map { "\($0)" } == "\(down)")
        #expect(TreeCodec.up(frame) == nil)
    }

    @Test("messages arrive with their bytes, ephemeral ones without a position") func delivery() throws {
        let delivery = Delivery(
            gap: .init(from: other, to: place),
            messages: [RoomMessage(position: place, body: body("one")), RoomMessage(position: nil, body: body("two"))])
        let frame = try carried(TreeCodec.frame("lobby", .delivery(generation: 3, delivery)))
        guard case .delivery(let generation, let arrived) = TreeCodec.down(frame) else {
            Issue.record("no delivery")
            return
        }
        #expect(generation == 3)
        #expect(arrived.gap == delivery.gap)
        #expect(arrived.messages.map(\.position) == [place, nil])
        #expect(arrived.messages.map(\.body) == [body("one"), body("two")])
    }

    @Test("what a newer node may say is nil, and so are bytes that are no frame") func unknown() {
        #expect(TreeCodec.up(MeshTreeFrame()) == nil)
        #expect(TreeCodec.down(MeshTreeFrame()) == nil)
        #expect(TreeCodec.decode(ByteBuffer(bytes: [0xFF, 0xFF, 0xFF])) == nil)
        var frame = MeshTreeFrame()
        frame.announcement = .with { announcement in
            announcement.owners = [
                .with { $0.kind = .UNRECOGNIZED(9) },
                .with {
                    $0.owner = TreeCodec.owner(owner)
                    $0.entries = [.with { $0.status = 4000 }]
                },
            ]
        }
        guard case .announce(let parts) = TreeCodec.up(frame) else {
            Issue.record("no announcement")
            return
        }
        #expect(parts.map(\.update.owner) == [owner])
        #expect(parts.first?.update.content == .snapshot([MemberEntry(session: 0, user: "", device: "", status: .unknown, note: "")]))
    }
}

@Suite("Mesh frames between neighbours") struct NeighbourCodecTests {
    @Test("the end of a round of announcements arrives as it was", arguments: AnnouncementRounds.Round.allCases)
    func mark(_ round: AnnouncementRounds.Round) throws {
        let mark = AnnouncementRounds.Mark(topology: .max, round: round, cell: 3, cells: 4)
        #expect(TreeCodec.mark(try carried(TreeCodec.frame(mark))) == mark)
        #expect(TreeCodec.mark(MeshTreeFrame()) == nil)
        var frame = MeshTreeFrame()
        frame.announced = .with { $0.round = 9 }
        #expect(TreeCodec.mark(frame) == nil)
    }

    @Test("a takeover arrives as it was") func taken() throws {
        let heir = SessionHeir(owner: NodeBoot(node: NodeID(region: RegionID("us"), name: "n2"), boot: 4), number: 12)
        var taken = SessionTaken(owner: owner, number: 7, identity: .max, taken: 1 << 50, heir: heir)
        taken.hops = 3
        #expect(SessionTaken(try carried(taken.frame).sessionTaken) == taken)
        #expect(SessionTaken(MeshSessionTaken()) == nil)
    }
}

@Suite("Mesh frames to the root and back") struct RequestCodecTests {
    private static let asks: [RootRequest.Ask] = [
        .publish(publishAsk(.ephemeral)),
        .publish(publishAsk(.mesh)),
        .history(HistoryAsk(after: place, before: nil, limit: 1000, newest: false)),
        .history(HistoryAsk(after: nil, before: other, limit: 1, newest: true)),
        .history(HistoryAsk(after: .zero, before: other, limit: 1, newest: true)),
        .members(after: "alice", limit: 100),
        .describe,
        .data(.deleteRoom), .data(.deleteUser), .data(.noteRoom("lobby")), .data(.rooms(after: "a", limit: 500)), .data(.profile),
        .data(.deleteReceipts(user: "alice")),
        .unread(user: "alice"),
        .directReceipt(DirectReceipt(user: "bob", positions: ReceiptPositions(delivered: place, read: other))),
        .pushDevice(PushDeviceAsk(device: "phone", registration: .init(service: .apns, token: "00ff"))),
        .pushDevice(PushDeviceAsk(device: "")),
    ]

    @Test("requests arrive as they were", arguments: RequestCodecTests.asks.indices)
    func request(_ index: Int) throws {
        let request = RootRequest(origin: owner, id: .max, hops: 3, ask: Self.asks[index])
        let frame = try carried(RequestCodec.frame("lobby", request))
        let arrived = try #require(RequestCodec.request(frame.request))
        #expect(frame.room == "lobby")
        guard case .publish(let ask) = arrived.ask, case .publish(let sent) = request.ask else {
            return #expect("\(arrived)" == "\(request)")
        }
        #expect(arrived.origin == request.origin && arrived.id == request.id && arrived.hops == request.hops)
        #expect(ask.session == sent.session && ask.number == sent.number && ask.base == sent.base)
        #expect(ask.publication.user == sent.publication.user && ask.publication.key == sent.publication.key)
        #expect(ask.publication.durability == sent.publication.durability && ask.publication.body == sent.publication.body)
    }

    private static let reasons: [Refusal.Reason] = [.unavailable, .notRoot, .outOfSequence, .exhausted, .unimplemented, .unreachable]

    private static let answers: [RootResponse.Answer] =
        [
            .published(position: place, at: 1_700_000_000_000, duplicate: true),
            .published(position: nil, at: 0, duplicate: false),
            .history([RoomMessage(position: place, body: body("one")), RoomMessage(position: other, body: body("two"))], more: true),
            .history([], more: false),
            .members(members, count: 900, next: "bob"),
            .unread(RoomUnread(count: 3, head: place, own: ReceiptPositions(delivered: place, read: other))), .done,
            .description(RoomDescription(head: place, members: 3, sessions: [RegionID("eu"): 2], logState: "open")),
            .data(.deleted(upTo: place)), .data(.deleted(upTo: nil)), .data(.done), .data(.rooms([])), .data(.rooms(["a", "b"])),
            .data(.profile(UserProfile(lastSeen: 7, sessions: entries, pushDevices: [.init(device: "d", service: "apns", updatedAt: 8)]))),
        ] + reasons.map { .refused(Refusal($0, "why", retryAfterMs: 250)) }

    @Test("answers arrive as they were", arguments: RequestCodecTests.answers.indices)
    func response(_ index: Int) throws {
        let response = RootResponse(origin: owner, id: 12, hops: 1, answer: Self.answers[index])
        let frame = try carried(RequestCodec.frame("", response))
        let arrived = try #require(RequestCodec.response(frame.response))
        #expect("\(arrived)" == "\(response)")
        if case .history(let messages, _) = arrived.answer, !messages.isEmpty {
            #expect(messages.map(\.body) == [body("one"), body("two")])
        }
    }

    @Test("requests to one node arrive as they were")
    func nodeRequest() throws {
        for ask in [NodeRequest.Ask.deleteCopy(room: "@alice", ofUser: true), .endSessions(user: "alice")] {
            let request = NodeRequest(origin: owner, id: .max, hops: 3, node: owner.node, ask: ask)
            let frame = try carried(DataCodec.frame(request))
            #expect(DataCodec.request(frame.nodeRequest).map { "\($0)" } == "\(request)")
        }
        #expect(DataCodec.request(MeshNodeRequest()) == nil)
    }

    @Test("what a newer node may ask or answer is nil") func unknown() {
        #expect(RequestCodec.request(.with { $0.data = .init() }) == nil)
        #expect(RequestCodec.response(.with { $0.data = .init() }) == nil)
        #expect(RequestCodec.request(MeshRootRequest()) == nil)
        #expect(RequestCodec.response(MeshRootResponse()) == nil)
        #expect(RequestCodec.request(.with { $0.publish = .with { $0.durability = 77 } })?.id == 0, "an unknown durability is passed on")
        #expect(RequestCodec.response(.with { $0.refusal = .with { $0.reason = .UNRECOGNIZED(77) } }) == nil)
    }
}

@Suite("What nodes tell of themselves") struct NodeNewsTests {
    @Test("news arrive as they were, over the control lane") func roundTrip() throws {
        let region = RegionID("eu")
        let news = NodeNews(
            rosters: [Roster(region: region, version: 4, nodes: [owner.node]), Roster(region: RegionID("us"), version: 1, nodes: [])],
            owner: owner, figures: PeerFigures(boot: owner.boot, sessions: 12, rooms: 3, draining: true, ready: true),
            storeEpochs: [region: 9, RegionID("us"): 1])
        var frame = news.frame()
        let length = frame.readInteger(as: UInt32.self)
        #expect(frame.readInteger(as: UInt8.self) == LinkLane.control.rawValue)
        #expect(length.map(Int.init) == frame.readableBytes + 1)
        let arrived = try #require(NodeNews(frame))
        #expect(arrived.rosters == news.rosters && arrived.owner == owner && arrived.storeEpochs == news.storeEpochs)
        #expect("\(arrived.figures)" == "\(news.figures)")
    }

    @Test("bytes that are no news") func garbage() { #expect(NodeNews(ByteBuffer(bytes: [0xFF])) == nil) }
}

@Suite("A message's bytes") struct MessageBodyTests {
    private static let message = RelayMessage.with {
        $0.room = "lobby"
        $0.from = "alice"
        $0.key = "k"
        $0.text = "hello"
        $0.headers = ["a": "b"]
    }

    @Test(
        "time and position that are appended are those that protobuf reads",
        arguments: [0, 1, 127, 128, 1 << 21, 1 << 53 - 1, .max] as [UInt64])
    func appended(_ number: UInt64) throws {
        var bytes = ByteBuffer(bytes: try Self.message.serializedBytes() as [UInt8])
        let at = Int64(bitPattern: number)
        MessageBody.appendAt(at, to: &bytes)
        MessageBody.appendPosition(Position(epoch: number, seq: number / 2), to: &bytes)
        var expected = Self.message
        expected.at = at
        expected.position = .with {
            $0.epoch = number
            $0.seq = number / 2
        }
        #expect(MessageBody.decode(bytes) == expected)
    }

    @Test("wrapped as a push, it is a delimited server frame", arguments: [0, 1, 100, 20_000])
    func push(_ length: Int) throws {
        var message = Self.message
        message.text = String(repeating: "x", count: length)
        var buffer = ByteBuffer()
        let bytes = ByteBuffer(bytes: try message.serializedBytes() as [UInt8])
        MessageBody.appendPush(bytes, encoding: .protobuf, to: &buffer)
        var expected = RelayServerFrame()
        expected.message = message
        let stream = DelimitedFrames(buffer)
        #expect(try stream.next() == expected)
        #expect(stream.isAtEnd)
    }

    @Test("bytes that are no message") func garbage() { #expect(MessageBody.decode(ByteBuffer(bytes: [0x0A, 0xFF])) == nil) }
}

/// Reads varint-delimited frames from a buffer by hand.
private final class DelimitedFrames {
    private var buffer: ByteBuffer
    init(_ buffer: ByteBuffer) { self.buffer = buffer }
    var isAtEnd: Bool { buffer.readableBytes == 0 }

    func next() throws -> RelayServerFrame {
        var length = 0
        var shift = 0
        while let byte = buffer.readInteger(as: UInt8.self) {
            length |= Int(byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 { break }
        }
        return try RelayServerFrame(serializedBytes: buffer.readBytes(length: length) ?? [])
    }
}
