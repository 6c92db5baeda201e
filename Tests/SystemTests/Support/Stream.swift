import MeshCore
import Testing
import Wire

/// What one subscriber has seen of a room, held to P1 across faults.
extension TestClient {
    /// Strictly increasing positions whose seq has no hole, and no key twice; `keys` in this order if given.
    func expectWhole(
        _ room: String, until key: String, keys: [String]? = nil, within limit: Duration = .seconds(15),
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let seen = try await messages(room, until: key, within: limit, sourceLocation: sourceLocation)
        let seqs = seen.map(\.position.seq)
        let first = seqs.first ?? 0
        #expect(seqs == seqs.indices.map { first + UInt64($0) }, "\(user) in \(room)", sourceLocation: sourceLocation)
        let epochs = seen.map(\.position.epoch)
        #expect(epochs == epochs.sorted(), "epochs of \(user) in \(room)", sourceLocation: sourceLocation)
        #expect(Set(seen.map(\.key)).count == seen.count, "nothing twice: \(seen.map(\.key))", sourceLocation: sourceLocation)
        if let keys { #expect(seen.map(\.key) == keys, sourceLocation: sourceLocation) }
        #expect(!recorder.record.frames.contains { $0.gap.room == room }, sourceLocation: sourceLocation)
    }
}
