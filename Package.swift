// swift-tools-version:6.2
import PackageDescription

// The layers, from the bottom up. A pure module decides and imports MeshCore only; a shell does I/O and
// obeys; Relay connects them. Tests/LayoutTests holds every target to its line here.

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
    // The rules of the pure modules are generic over what they order and keep: they are specialised where they are used.
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]

let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioFoundation: Target.Dependency = .product(name: "NIOFoundationCompat", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let jwt: Target.Dependency = .product(name: "JWTKit", package: "jwt-kit")
let yaml: Target.Dependency = .product(name: "Yams", package: "Yams")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

func module(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = [], resources: [Resource] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, resources: resources, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

/// Code that only tests run: no module and no product.
func testLibrary(_ name: String, _ dependencies: [Target.Dependency], path: String) -> Target {
    .target(name: name, dependencies: dependencies, path: path, swiftSettings: settings)
}

func testProgram(_ name: String, _ dependencies: [Target.Dependency], path: String) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: path, swiftSettings: settings)
}

let package = Package(
    name: "heliograph",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "heliograph", targets: ["heliograph"]),
        .library(name: "HeliographClient", targets: ["HeliographClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
    ],
    targets: [
        // System libraries. Without pkg-config for hiredis: its file holds a flag that SwiftPM prohibits, and the module map suffices.
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CNghttp2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

        // Values everybody shares.
        module("MeshCore"),

        // Pure decisions.
        module("Membership", ["MeshCore"]),
        module("View", ["MeshCore"]),
        module("Rooms", ["MeshCore", deque]),
        module("Presence", ["MeshCore"]),
        module("Session", ["MeshCore", deque]),
        module("HistoryChecker", ["MeshCore"]),

        // Bytes.
        module("Wire", ["MeshCore", "CZlib", nioCore, protobuf], exclude: ["Protos"]),
        module("TLS", ["MeshCore", "COpenSSL", nioCore, logging]),
        module("HTTP2", ["MeshCore", "CNghttp2", nioCore]),

        // Shells.
        module("MeshConfiguration", ["MeshCore", "TLS", yaml, logging]),
        module("FaultProxy", ["MeshCore", nioCore, nioPosix]),
        module("LocalMesh", ["MeshCore", "MeshConfiguration", "FaultProxy", "TLS", jwt, nioCore]),
        module("Store", ["MeshCore", "CHiredis", "TLS", nioCore, nioPosix, logging, deque], resources: [.embedInCode("Redis/Lua")]),
        module("Push", ["MeshCore", "HTTP2", "TLS", nioCore, nioPosix, nioHTTP1, jwt, logging]),
        module("Transport", ["MeshCore", "Membership", "HTTP2", "TLS", "Wire", nioCore, nioPosix, nioHTTP1, protobuf, logging, deque]),
        module(
            "Relay",
            [
                "MeshCore", "Membership", "View", "Rooms", "Presence", "Session", "TLS", "Wire", "MeshConfiguration", "Store", "Transport",
                "Operations", "HTTP2", "Push", nioCore, nioPosix, nioFoundation, nioHTTP1, logging, protobuf, jwt, deque, lifecycle,
            ]),
        module("Operations", ["MeshCore", "TLS", hummingbird, logging, nioCore]),

        // Clients.
        module("HeliographClient", ["MeshCore", "TLS", "HTTP2", "Wire", nioCore, nioPosix, nioHTTP1, logging]),
        module("Benchmarks", ["MeshCore", "TLS", "Wire", "CLinux", nioCore, nioPosix]),

        // The command line.
        .executableTarget(
            name: "heliograph",
            dependencies: [
                "MeshCore", "MeshConfiguration", "LocalMesh", "Relay", "Operations", "HeliographClient", "Benchmarks", "Wire", "Store",
                "TLS",
                arguments, jwt, logging, lifecycle, nioCore, nioPosix,
            ],
            swiftSettings: settings),

        // Tests: one target per module; LayoutTests reads the sources, SystemTests run real processes.
        tests("LayoutTests", []),
        tests("MeshCoreTests", ["MeshCore"]),
        tests("MembershipTests", ["MeshCore", "Membership"]),
        tests("ViewTests", ["MeshCore", "View"]),
        tests("RoomsTests", ["MeshCore", "Rooms"]),
        tests("PresenceTests", ["MeshCore", "Presence"]),
        tests("SessionTests", ["MeshCore", "Session"]),
        tests("HistoryCheckerTests", ["MeshCore", "HistoryChecker"]),
        tests("WireTests", ["MeshCore", "Wire", nioCore, protobuf]),
        tests("HTTP2Tests", ["HTTP2", "MeshCore", nioCore]),
        tests("TLSTests", ["TLS", "MeshCore", nioCore, nioEmbedded, logging]),
        tests("MeshConfigurationTests", ["MeshConfiguration", "MeshCore", "TLS", logging]),
        tests("StoreTests", ["Store", "MeshCore", "TLS", nioCore, nioPosix, logging]),
        tests("PushTests", ["Push", "PushServers", "MeshCore", "TLS", nioCore, nioPosix, jwt, logging]),
        tests("TransportTests", ["MeshCore", "Membership", "HTTP2", "TLS", "Wire", "Transport", nioCore, nioPosix, logging]),
        tests(
            "RelayTests",
            ["MeshCore", "Presence", "Push", "Relay", "Rooms", "Session", "Store", "Transport", "View", "Wire", jwt, nioCore, protobuf]),
        tests("OperationsTests", ["MeshCore", "Operations", "HeliographClient", "TLS", logging, nioCore, nioPosix, nioHTTP1]),
        tests("FaultProxyTests", ["FaultProxy", "MeshCore", nioCore, nioPosix]),
        tests(
            "LocalMeshTests", ["FaultProxy", "LocalMesh", "MeshConfiguration", "MeshCore", "TLS", "heliograph", jwt, nioCore],
            exclude: ["Fakes"]),
        tests("HeliographClientTests", ["HeliographClient", "MeshCore", "Wire", "TLS", "HTTP2", nioCore, nioEmbedded, nioPosix]),
        tests("BenchmarksTests", ["Benchmarks", "HTTP2", "MeshCore", "Wire", nioCore, nioPosix]),
        tests(
            "SystemTests",
            [
                "FaultProxy", "HeliographClient", "HistoryChecker", "LocalMesh", "MeshConfiguration", "MeshCore", "PushServers", "TLS",
                "Wire",
                "heliograph", jwt, nioCore, nioHTTP1, nioPosix, protobuf,
            ],
            exclude: ["Python"]),

        // What ops/conformance lets a test suite for WebSocket servers talk to.
        testProgram(
            "ConformanceServer", ["MeshCore", "TLS", "Transport", "Wire", logging, nioCore, nioPosix], path: "Tests/ConformanceServer"),

        // Receivers of notifications, for tests of the senders and of whole meshes.
        testLibrary("PushServers", ["HTTP2", "MeshCore", "TLS", nioCore, nioPosix, nioHTTP1], path: "Tests/PushServers"),

        // What the fuzzer runs, and the tests that run it again on what the fuzzer has found.
        testLibrary("FuzzTargets", ["MeshCore", "Store", "Transport", "Wire", nioCore], path: "Tests/Fuzzing/FuzzTargets"),
        tests("FuzzingTests", ["FuzzTargets"]),
    ]
)

// libFuzzer has a main of its own: only ops/fuzz, which links it, can build this program.
if Context.environment["HELIOGRAPH_FUZZING"] != nil {
    package.targets.append(testProgram("Fuzzer", ["FuzzTargets"], path: "Tests/Fuzzing/Fuzzer"))
}
