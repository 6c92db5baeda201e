import MeshCore

/// What is wrong with a connection.
public enum LinkFault: Hashable, Sendable {
    /// Packets are lost: nothing arrives and nobody is told. New connections come to nothing. What TCP has sent waits, and arrives in a
    /// burst when the fault ends, as with TCP's own repeats.
    case silence
    /// Connections are reset, and so is every new one. Always both ways.
    case reset
    /// Everything arrives, later by this.
    case delay(TimeSpan)
}

/// Seen from the end that dials.
public enum LinkDirection: Hashable, Sendable, CaseIterable {
    case there, back, both
}
