import HeliographClient
import LocalMesh
import MeshCore
import Testing
import Wire

/// Many publishers and subscribers in all regions at once, and what must hold for what they see (P1, P3).
struct Crowd: Sendable {
    static let publishers = 50
    static let messagesEach = 24

    let mesh: MeshUnderTest
    let rooms: [String]

    struct Acknowledged: Sendable {
        var room: String
        var key: String
        var position: RelayPosition
    }

    func run() async throws {
        let nodes = await mesh.nodes
        let subscribers = try await connectSubscribers(nodes)
        let acknowledged = try await publishAll(nodes)
        #expect(acknowledged.count == Self.publishers * Self.messagesEach)
        for room in rooms {
            let expected = acknowledged.filter { $0.room == room }
            let order = try await checkRoom(room, subscribers, expected)
            try await checkHistory(room, order, reader: subscribers[0])
        }
        for subscriber in subscribers { await subscriber.close() }
    }

    /// Three in each region.
    private func connectSubscribers(_ nodes: [LocalMesh.Node]) async throws -> [TestClient] {
        var subscribers: [TestClient] = []
        for region in MeshUnderTest.regions {
            let here = nodes.filter { $0.node.region.name == region }
            for n in 0..<3 {
                let encoding = FrameEncoding.webSocket[n % 2]
                let user = MeshUnderTest.unique("reader")
                let client = try await TestClient.connect(here[n % here.count], as: user, encoding: encoding)
                for room in rooms { try await client.subscribe(room) }
                subscribers.append(client)
            }
        }
        return subscribers
    }

    private func publishAll(_ nodes: [LocalMesh.Node]) async throws -> [Acknowledged] {
        try await withThrowingTaskGroup(of: [Acknowledged].self) { group in
            for publisher in 0..<Self.publishers {
                group.addTask { try await publish(as: publisher, at: nodes[publisher % nodes.count]) }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }

    /// All at once, without waiting for answers; every fourth is repeated behind the others, as after a lost answer.
    private func publish(as publisher: Int, at node: LocalMesh.Node) async throws -> [Acknowledged] {
        let client = try await TestClient.connect(node, as: MeshUnderTest.unique("writer"))
        let asks = (0..<Self.messagesEach).map { n in
            RelayPublish.text(rooms[(publisher + n) % rooms.count], "\(n)", key: "p\(publisher)-\(n)")
        }
        let ids = try asks.map { try client.post(.publish($0)) }
        let repeated = asks.enumerated().filter { $0.offset % 4 == 0 }.map(\.element)
        let repeatedIDs = try client.post(repeated.map { .publish($0) })
        var acknowledged: [Acknowledged] = []
        for (ask, id) in zip(asks, ids) {
            let published = try await published(client, id)
            #expect(!published.duplicate && published.key == ask.key)
            acknowledged.append(Acknowledged(room: ask.room, key: ask.key, position: published.position))
        }
        for (ask, id) in zip(repeated, repeatedIDs) {
            let published = try await published(client, id)
            #expect(published.duplicate && published.position == acknowledged.first { $0.key == ask.key }?.position)
        }
        await client.close()
        return acknowledged
    }

    private func published(_ client: TestClient, _ id: UInt32) async throws -> RelayPublished {
        guard case .published(let published) = try await client.reply(id, within: .seconds(30)) else {
            throw SystemTestError("\(client.user): \(try await client.reply(id))")
        }
        return published
    }

    // MARK: Checks

    private func checkRoom(_ room: String, _ subscribers: [TestClient], _ expected: [Acknowledged]) async throws -> [RelayMessage] {
        let end = try await subscribers[0].publish(room, "end", key: "end")
        var orders: [[RelayMessage]] = []
        for subscriber in subscribers { orders.append(try await subscriber.messages(room, until: "end", within: .seconds(30))) }
        let order = orders[0]
        #expect(
            orders.allSatisfy { $0.map(\.key) == order.map(\.key) && $0.map(\.position) == order.map(\.position) }, "one order in \(room)")
        #expect(order.map(\.position.seq) == (1...UInt64(expected.count + 1)).map { $0 }, "no hole and nothing twice in \(room)")
        #expect(Set(order.map(\.position.epoch)).count == 1)
        #expect(zip(order, order.dropFirst()).allSatisfy { $0.at <= $1.at }, "time does not go back in \(room)")
        let positions = Dictionary(order.map { ($0.key, $0.position) }) { first, _ in first }
        #expect(expected.allSatisfy { positions[$0.key] == $0.position }, "everything acknowledged is there, where it was said to be")
        #expect(end.position == order.last?.position)
        checkSendingOrder(order)
        return order
    }

    private func checkSendingOrder(_ order: [RelayMessage]) {
        for (writer, messages) in Dictionary(grouping: order.dropLast(), by: \.from) {
            let numbers = messages.compactMap { Int($0.text) }
            #expect(numbers == numbers.sorted(), "the messages of \(writer) in sending order")
        }
    }

    private func checkHistory(_ room: String, _ order: [RelayMessage], reader: TestClient) async throws {
        var log: [RelayMessage] = []
        var more = true
        while more {
            let page = try await reader.history(room, after: log.last?.position ?? RelayPosition(.zero), limit: 100)
            log += page.messages
            more = page.more && !page.messages.isEmpty
        }
        #expect(log == order, "history is what was seen in \(room)")
    }
}
