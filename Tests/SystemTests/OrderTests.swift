import Testing

/// P1 and P3 with 50 publishers in all regions at once. The limit holds the wait for the other meshes as well.
@Suite("Fifty publishers", .timeLimit(.minutes(6))) struct OrderTests {
    /// One homed in each region, and two that the shard alone decides.
    private var rooms: [String] {
        MeshUnderTest.regions.map { MeshUnderTest.unique("\($0)/crowd") } + ["a", "b"].map { MeshUnderTest.unique("crowd-\($0)") }
    }

    @Test("one node a region", .mesh()) func oneNode() async throws {
        try await Crowd(mesh: .current, rooms: rooms).run()
    }

    @Test("two nodes a region", .mesh(nodes: 2)) func twoNodes() async throws {
        try await Crowd(mesh: .current, rooms: rooms).run()
    }
}
