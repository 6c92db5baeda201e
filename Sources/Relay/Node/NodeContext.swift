import Logging
import MeshConfiguration
import MeshCore
import NIOCore

/// What all cells of a node share and nobody changes.
struct NodeContext: Sendable {
    var configuration: NodeConfiguration
    var owner: NodeBoot
    /// The run of this node before, if it ended a moment ago without a word: its sessions may come back.
    var crashed: CrashedRun?
    var tokens: TokenVerifier
    var tickets: SessionTickets
    var logger: Logger
    /// The client URL of each node that the configuration names.
    var clientURLs: [NodeID: String]
    var encryption: NodeEncryption

    var node: NodeID { owner.node }
    var region: RegionID { owner.node.region }
    var limits: RelayLimits { configuration.limits }
    var timings: RelayTimings { configuration.timings }
}

struct CrashedRun: Sendable {
    var owner: NodeBoot
    /// When this run began.
    var noticedAt: Instant
}

/// This process's clocks. The only places where the relay reads them.
enum Clock {
    static func now() -> Instant { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }

    static func wall() -> WallMilliseconds {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallMilliseconds(time.tv_sec) * 1000 + WallMilliseconds(time.tv_nsec) / 1_000_000
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
