import Foundation
import LocalMesh
import MeshCore
import Testing
import Wire

/// A node with its clients, which dies, and where they go on.
struct Storm: Sendable {
    private static let rooms = 150
    /// Messages of each room while its members are away; of the first room many.
    private static let (missed, missedMost) = (3, 100)

    let mesh: MeshUnderTest
    let dying: LocalMesh.Node
    let others: [LocalMesh.Node]
    let rooms: [String]
    /// They come back at once.
    let quick: StormCrowd
    /// They come back, all at the same moment; the second half behind the newcomers.
    let crowd: [StormCrowd]
    /// They do not come back.
    let lost: StormCrowd
    /// They come for the first time, at the moment of the crowd.
    let newcomers: StormCrowd
    /// In all rooms, with presence.
    let observer: TestClient
    private let publisher: TestClient

    init(_ mesh: MeshUnderTest, quick: Int, crowd: Int, lost: Int, newcomers: Int) async throws {
        self.mesh = mesh
        let dying = try await mesh.node("eu-west", 1)
        self.dying = dying
        others = await mesh.nodes.filter { $0.node != dying.node }
        rooms = (0..<Self.rooms).map { _ in MeshUnderTest.unique("storm") }
        self.quick = try await StormCrowd(Self.users(quick, "quick", in: rooms, mesh))
        let stormy = try await Self.users(crowd, "stormy", in: rooms, mesh)
        self.crowd = try await [StormCrowd(stormy.prefix(crowd / 2)), StormCrowd(stormy.dropFirst(crowd / 2))]
        self.lost = try await StormCrowd(Self.users(lost, "lost", in: rooms, mesh))
        self.newcomers = try await StormCrowd(Self.users(newcomers, "new", in: rooms, mesh))
        observer = try await TestClient.connect(others[1], as: MeshUnderTest.unique("observer"))
        publisher = try await TestClient.connect(others[2], as: MeshUnderTest.unique("publisher"))
        for room in rooms { try await observer.subscribe(room, presence: true) }
    }

    /// Those who come back.
    var returning: [StormCrowd] { [quick] + crowd }
    var everybody: [StormCrowd] { returning + [newcomers] }

    private static func users(_ count: Int, _ name: String, in rooms: [String], _ mesh: MeshUnderTest) async throws -> [StormUser] {
        var users: [StormUser] = []
        for n in 0..<count {
            let user = MeshUnderTest.unique("\(name)-\(n)")
            users.append(StormUser(name: user, token: try await mesh.token(user), room: rooms[n % rooms.count]))
        }
        return users
    }

    // MARK: What happens

    /// All sessions begin on the node that will die, and each has seen a message.
    func begin() async throws {
        let first = returning + [lost]
        for comers in first { try await comers.come(to: [dying]) }
        for comers in first { try await comers.settle(within: .seconds(100)) }
        try await publish(first, { _ in 1 })
        for comers in first {
            try await comers.settle(within: .seconds(30))
            comers.weather.clear()
        }
    }

    /// The node is dead. The quick ones come at once; meanwhile the rooms go on, and the others gather at the doors and say hello together.
    func comeBack() async throws {
        try await quick.come(to: others)
        async let missed: Void = publish(returning) { $0 == rooms[0] ? Self.missedMost : Self.missed }
        let comers = [crowd[0], newcomers, crowd[1]]
        for comers in comers { try await comers.come(to: others, waiting: true) }
        try await missed
        for comers in comers { try await comers.sayHello() }
        for comers in everybody { try await comers.settle(within: .seconds(120)) }
    }

    /// One more for everybody.
    func publishLive() async throws {
        try await publish(everybody) { _ in 1 }
        for comers in everybody { try await comers.settle(within: .seconds(30)) }
    }

    /// - Parameter readers: they are to see all of it.
    private func publish(_ readers: [StormCrowd], _ count: (String) -> Int) async throws {
        let goals = try await withThrowingTaskGroup(of: (String, UInt64).self) { group in
            for room in rooms {
                let count = count(room)
                group.addTask { (room, try await publish(count, to: room)) }
            }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        for comers in readers { try await comers.aim(at: goals) }
    }

    /// Returns the seq of the last one.
    private func publish(_ count: Int, to room: String) async throws -> UInt64 {
        var seq: UInt64 = 0
        for n in 0..<count {
            seq = try await publisher.publishUntilTaken(room, "\(n)", key: MeshUnderTest.unique("storm")).position.seq
        }
        return seq
    }

    // MARK: What is seen

    /// What the observer was told of each user behind `mark`, in order: "left", "joined 1", "updated 1".
    func told(after mark: Int) -> [String: [String]] {
        var told: [String: [String]] = [:]
        for frame in observer.recorder.record.frames.dropFirst(mark) {
            guard case .roomPresence(let presence) = frame.frame else { continue }
            for user in presence.left { told[user, default: []].append("left") }
            for member in presence.joined { told[member.user, default: []].append("joined \(member.devices)") }
            for member in presence.updated { told[member.user, default: []].append("updated \(member.devices)") }
        }
        return told
    }

    /// All members of all rooms with their devices.
    func members() async throws -> [String: UInt32] {
        var members: [String: UInt32] = [:]
        for room in rooms {
            for member in try await publisher.members(room, limit: 500).members { members[member.user] = member.devices }
        }
        return members
    }

    /// Commands that all stores have served.
    func storeCommands() async throws -> Int {
        var sum = 0
        for region in await mesh.local.regions {
            let info = try await Program.redis(try #require(region.redis?.url), "INFO", "stats")
            let line = info.split(whereSeparator: \.isNewline).first { $0.hasPrefix("total_commands_processed:") }
            sum += line.flatMap { Int($0.drop { $0 != ":" }.dropFirst()) } ?? 0
        }
        return sum
    }

    /// Sum of a reason over the nodes that live.
    func drops(_ reason: String) async throws -> Double {
        var sum = 0.0
        for node in others { sum += try await Metrics.scrape(node.operationsURL).drops(reason) }
        return sum
    }

    func end() async throws {
        for comers in everybody + [lost] { try await comers.drop() }
        await observer.drop()
        await publisher.drop()
    }
}
