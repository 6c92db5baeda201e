/// What each module may import. One line per target of Package.swift; `LayoutTests` holds both to each other.
enum ModuleTable {
    /// Modules of the standard library and the platform that shells may use beside what stands in the table.
    static let platform: Set<String> = [
        "Swift", "Synchronization", "Foundation", "FoundationEssentials", "Glibc", "Musl", "Darwin", "Dispatch",
    ]
    /// The part of it that decides nothing by itself and is free for pure modules too.
    static let pure: Set<String> = ["Swift", "Synchronization"]
    static let pureModules: Set<String> = ["MeshCore", "Membership", "View", "Rooms", "Presence", "Session", "HistoryChecker"]

    private static let collections: Set<String> = [
        "Collections", "BitCollections", "DequeModule", "HashTreeCollections", "HeapModule", "OrderedCollections",
    ]
    private static let nio: Set<String> = ["NIOCore", "NIOPosix"]
    private static let http: Set<String> = ["NIOHTTP1", "NIOHTTPTypes", "NIOWebSocket"]

    static let allowed: [String: Set<String>] = [
        "MeshCore": [],
        "Membership": ["MeshCore"],
        "View": ["MeshCore"],
        "Rooms": collections.union(["MeshCore"]),
        "Presence": collections.union(["MeshCore"]),
        "Session": collections.union(["MeshCore"]),
        "HistoryChecker": ["MeshCore"],
        "Wire": ["MeshCore", "CZlib", "NIOCore", "SwiftProtobuf"],
        "TLS": ["MeshCore", "COpenSSL", "Logging", "NIOCore"],
        "HTTP2": ["MeshCore", "CNghttp2", "NIOCore"],
        "MeshConfiguration": ["MeshCore", "TLS", "Logging", "Yams"],
        "Store": nio.union(collections).union(["MeshCore", "TLS", "CHiredis", "Logging"]),
        "Push": nio.union(http).union(["MeshCore", "HTTP2", "TLS", "JWTKit", "Logging"]),
        "Transport": nio.union(http).union(collections).union([
            "MeshCore", "Membership", "TLS", "HTTP2", "Wire", "Logging", "SwiftProtobuf",
        ]),
        "Operations": ["MeshCore", "TLS", "Hummingbird", "HummingbirdCore", "Logging", "NIOCore"],
        "Relay": nio.union(http).union(collections).union([
            "MeshCore", "Membership", "View", "Rooms", "Presence", "Session", "TLS", "Wire", "MeshConfiguration", "Store", "Transport",
            "Operations", "HTTP2", "Push",
            "Logging", "NIOFoundationCompat", "JWTKit", "ServiceLifecycle", "SwiftProtobuf",
        ]),
        "HeliographClient": nio.union(http).union(["MeshCore", "TLS", "HTTP2", "Wire", "Logging", "SwiftProtobuf"]),
        "Benchmarks": nio.union(["MeshCore", "TLS", "Wire", "SwiftProtobuf", "CLinux"]),
        "FaultProxy": nio.union(["MeshCore"]),
        "LocalMesh": ["MeshCore", "MeshConfiguration", "FaultProxy", "TLS", "JWTKit", "NIOCore"],
        "heliograph": nio.union([
            "MeshCore", "MeshConfiguration", "Relay", "Operations", "HeliographClient", "Benchmarks", "LocalMesh", "TLS", "Wire", "Store",
            "Transport",
            "ArgumentParser", "JWTKit", "Logging", "ServiceLifecycle", "SwiftProtobuf",
        ]),
    ]

    static let systemLibraries: Set<String> = ["CHiredis", "CLinux", "CNghttp2", "COpenSSL", "CZlib"]
    /// Calls of the system without a handle that somebody must own.
    static let handleFree: Set<String> = ["CLinux"]
    /// A C library is imported by the files that own its handles and by nothing else: one, or as many as there are kinds of handles.
    static let handleOwnersMax: [String: Int] = [
        "COpenSSL": 6  // SSL_CTX, SSL, certificates that are read, certificates that are made, the queue of errors, keyed hashes
    ]

    /// The one file of a test target that may pause: it asks for a condition until a deadline.
    static let waitingFile = "Waiting.swift"

    /// Modules whose job it is to write to the terminal.
    static let printing: Set<String> = ["heliograph", "Benchmarks", "LocalMesh"]

    /// Test targets for modules whose tests do not stand in `<Module>Tests`, with the reason.
    static let testedElsewhere: [String: String] = [
        "heliograph": "SystemTests"  // it is a process
    ]
}
