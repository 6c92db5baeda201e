import MeshCore

/// P1: messages of one publisher to one room stand in the order in which it sent them.
///
/// A publish that was refused and sent again may stand anywhere between its first and its last sending; one that was sent again because
/// the connection was lost keeps the place of its first: the publisher repeats from the first without an outcome.
struct PublisherRules {
    let history: History
    let facts: [String: RoomFacts]

    private struct Stream: Hashable {
        var client: String
        var room: String
    }

    private struct Publish {
        var key: String
        var firstSent: Int
        var lastSent: Int
        var wasRefused = false
    }

    func check() -> [Violation] {
        var streams: [Stream: [String: Publish]] = [:]
        for (index, entry) in history.entries.enumerated() {
            switch entry.event {
            case .published(let client, let room, let key, _):
                let stream = Stream(client: client, room: room)
                var publish = streams[stream]?[key] ?? Publish(key: key, firstSent: index, lastSent: index)
                if publish.wasRefused { publish.lastSent = index }
                streams[stream, default: [:]][key] = publish
            case .refused(let client, let room, let key, _):
                streams[Stream(client: client, room: room)]?[key]?.wasRefused = true
            default: break
            }
        }
        return streams.sorted { ($0.key.room, $0.key.client) < ($1.key.room, $1.key.client) }
            .flatMap { check($0.key, Array($0.value.values)) }
    }

    /// Each is compared with the highest position among those whose last sending came before its first.
    private func check(_ stream: Stream, _ publishes: [Publish]) -> [Violation] {
        guard let facts = facts[stream.room] else { return [] }
        let placed = publishes.compactMap { publish in
            facts.position(of: RoomFacts.Author(from: stream.client, key: publish.key)).map { (publish, position: $0) }
        }
        var finished = placed.sorted { $0.0.lastSent < $1.0.lastSent }[...]
        var highest: (key: String, position: Position)?
        return placed.sorted { $0.0.firstSent < $1.0.firstSent }.compactMap { publish, position in
            while let next = finished.first, next.0.lastSent < publish.firstSent {
                if next.position > highest?.position ?? .zero { highest = (next.0.key, next.position) }
                finished.removeFirst()
            }
            guard let highest, position < highest.position else { return nil }
            let detail = "\(publish.key) at \(position) was sent after \(highest.key) at \(highest.position)"
            return Violation(.sendingOrder, room: stream.room, client: stream.client, detail)
        }
    }
}
