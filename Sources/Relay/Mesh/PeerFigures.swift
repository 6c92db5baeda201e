import MeshCore

/// What a node last told about itself.
struct PeerFigures: Sendable {
    var boot: Boot
    var sessions: Int
    var rooms: Int
    var draining: Bool
    var ready: Bool
}
