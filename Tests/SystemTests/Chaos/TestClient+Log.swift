import HeliographClient
import HistoryChecker
import MeshCore
import SwiftProtobuf
import Testing
import Wire

extension TestClient {
    /// All that is kept of a room, from the oldest on.
    func readLog(of room: String) async throws -> [SeenMessage] {
        var messages: [SeenMessage] = []
        var hasMore = true
        while hasMore {
            let after = RelayPosition(messages.last?.position ?? .zero)
            // A room that is being opened anew answers a little later.
            let page: RelayHistory = try await eventually("history of \(room)") {
                let reply = try await ask(.history(.with { ($0.room, $0.after, $0.limit) = (room, after, 500) }))
                guard case .history(let page) = reply else { throw SystemTestError("\(reply)") }
                return page
            }
            messages += page.messages.map { SeenMessage($0) }
            hasMore = page.more && !page.messages.isEmpty
        }
        return messages
    }
}
