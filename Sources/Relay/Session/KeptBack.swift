import MeshCore
import Presence

/// What a slow session was not told, folded into what it comes to.
struct KeptBack {
    /// Past it the session is told to come back: lists are new then.
    static let usersMax = 20_000

    private(set) var presence: [String: PresenceFold] = [:]
    private(set) var watched: Set<String> = []
    /// By room: those whose typing began or ended unseen.
    private(set) var typists: [String: Set<String>] = [:]

    var isTooMuch: Bool { presence.values.reduce(typists.values.reduce(watched.count) { $0 + $1.count }) { $0 + $1.users } > Self.usersMax }

    func holds(presenceOf room: String) -> Bool { presence[room] != nil }

    mutating func keep(_ room: String, _ diff: MemberDiff) { presence[room, default: PresenceFold()].add(diff) }
    mutating func keep(watched user: String) { watched.insert(user) }
    mutating func keep(typist user: String, in room: String) { typists[room, default: []].insert(user) }

    mutating func forget(_ room: String) {
        presence[room] = nil
        typists[room] = nil
    }

    mutating func forget(watched user: String) { watched.remove(user) }
}
