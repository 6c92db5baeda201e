import MeshCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The wall clock of this machine.
public enum WallClock {
    @Sendable public static func now() -> WallMilliseconds { WallMilliseconds(Date().timeIntervalSince1970 * 1000) }
}
