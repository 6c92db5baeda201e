import MeshCore

/// What happens to a local mesh, for those who watch it.
public enum MeshEvent: Hashable, Sendable {
    case started(name: String, pid: Int32)
    case ready(name: String, after: TimeSpan)
    /// Every two seconds during the start: who is waited for, each with the reason it gives.
    case waiting([String])
    /// A child ended that nobody had asked to.
    case died(name: String, how: ChildExit, log: String, lastLines: [String])
    /// No relay runs any more.
    case nothingLeft
    case stopping
    case killing(name: String, after: TimeSpan)
}
