import Foundation
import Logging
import MeshCore
import NIOCore
import NIOPosix
import Store
import Synchronization
import TLS
import Testing

/// A store on its event loop, called from a test.
final class LoopStore: Sendable {
    let loop: any EventLoop
    /// Every state that the observer was told, in order.
    let states: StateRecorder
    private let store: NIOLoopBound<any RegionStore>

    init(_ loop: any EventLoop, _ make: @escaping @Sendable (any EventLoop, StateRecorder) -> any RegionStore) async throws {
        let states = StateRecorder()
        self.loop = loop
        self.states = states
        store = try await loop.submit {
            let store = make(loop, states)
            store.start()
            return NIOLoopBound(store, eventLoop: loop)
        }.get()
    }

    func call<Answer: Sendable>(_ body: @escaping @Sendable (any RegionStore) -> EventLoopFuture<Answer>) async throws -> Answer {
        try await loop.flatSubmit { [store] in body(store.value) }.get()
    }

    func look<Answer: Sendable>(_ body: @escaping @Sendable (any RegionStore) -> Answer) async throws -> Answer {
        try await loop.submit { [store] in body(store.value) }.get()
    }

    func whenUp(times: Int = 1) throws {
        try waitUntil("the store came up \(times) times") { states.ups >= times }
    }

    /// The error that a call fails with, nil when it succeeds.
    func error<Answer: Sendable>(_ body: @escaping @Sendable (any RegionStore) -> EventLoopFuture<Answer>) async throws -> StoreError? {
        do {
            _ = try await call(body)
            return nil
        } catch let error as StoreError {
            return error
        }
    }

    func close() async throws { try await call { $0.close() } }
}

final class StateRecorder: Sendable {
    private let states = Mutex<[StoreState]>([])
    func record(_ state: StoreState) { states.withLock { $0.append(state) } }
    var all: [StoreState] { states.withLock { $0 } }
    var ups: Int { all.count { $0 == .up } }
}

final class TestClock: Sendable {
    private let milliseconds = Mutex<WallMilliseconds>(1_700_000_000_000)
    func now() -> WallMilliseconds { milliseconds.withLock { $0 } }
    func advance(by span: TimeSpan) { milliseconds.withLock { $0 += WallMilliseconds(span.milliseconds) } }
}

enum StoreKind: CaseIterable, CustomTestStringConvertible {
    case embedded, redis
    var testDescription: String { "\(self)" }
}

/// One region's store of either kind, with the faults that both can have.
final class StoreHarness {
    private enum Backing {
        case embedded(EmbeddedStoreData, TestClock)
        case redis(RedisServer)
    }

    private let backing: Backing
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    private var stores: [LoopStore] = []

    init(_ kind: StoreKind) throws {
        switch kind {
        case .embedded:
            let clock = TestClock()
            backing = .embedded(EmbeddedStoreData(clock: { clock.now() }), clock)
        case .redis: backing = .redis(try RedisServer(persistent: true))
        }
    }

    /// Another connection to the same store, up.
    func connect() async throws -> LoopStore {
        let store: LoopStore
        switch backing {
        case .embedded(let data, _):
            store = try await LoopStore(group.next()) { loop, states in
                EmbeddedStore(data: data, on: loop) { states.record($0) }
            }
        case .redis(let server): store = try await group.connectToRedis(server.address)
        }
        try store.whenUp()
        stores.append(store)
        return store
    }

    var now: WallMilliseconds {
        switch backing {
        case .embedded(_, let clock): clock.now()
        case .redis: WallClock.now()
        }
    }

    /// Redis has no clock to turn: wait until its own says that the time has passed.
    func pass(_ span: TimeSpan) throws {
        switch backing {
        case .embedded(_, let clock): clock.advance(by: span)
        case .redis(let server):
            let until = try server.timeMs() + span.milliseconds + 1
            try waitUntil("\(span) passed in Redis") { try server.timeMs() > until }
        }
    }

    func wipe() throws {
        switch backing {
        case .embedded(let data, _): data.wipe()
        case .redis(let server): try server.wipe()
        }
    }

    /// Another run of the store with the same data; answers when all connections are up again.
    func restart() throws {
        switch backing {
        case .embedded(let data, _): data.restart()
        case .redis(let server):
            let ups = stores.map(\.states.ups)
            try server.restart()
            for (store, before) in zip(stores, ups) { try store.whenUp(times: before + 1) }
        }
    }

    func end() async throws {
        for store in stores { try await store.close() }
        try await group.shutdownGracefully()
    }
}

extension MultiThreadedEventLoopGroup {
    func connectToRedis(
        _ address: RedisAddress, encryption: TLSCredentials? = nil, limits: StoreLimits = .init()
    ) async throws -> LoopStore {
        try await LoopStore(next()) { loop, states in
            RedisStore(address: address, on: loop, encryption: encryption, limits: limits, logger: Logger(label: "test")) {
                states.record($0)
            }
        }
    }
}

/// Runs a test against a store and ends it, also when the test throws.
func withStore(_ kind: StoreKind, _ body: (StoreHarness, LoopStore) async throws -> Void) async throws {
    let harness = try StoreHarness(kind)
    do {
        try await body(harness, try await harness.connect())
    } catch {
        try await harness.end()
        throw error
    }
    try await harness.end()
}

let standardFence = Fence(viewEpoch: 1, rosterVersion: 1)

extension OpenLog {
    static func first(_ fence: Fence = standardFence, incarnation: String = "A", epoch: UInt64 = 1, knownHead: Position = .zero) -> OpenLog
    {
        OpenLog(fence: fence, incarnation: incarnation, epoch: epoch, knownHead: knownHead)
    }
}

extension AppendBatch {
    /// One message for each key, its body being the key.
    static func of(
        _ keys: String..., user: String = "alice", at: WallMilliseconds = 1000, fence: Fence = standardFence,
        retention: Retention = .init(),
        name: String = "", behind: String? = nil
    ) -> AppendBatch {
        AppendBatch(
            fence: fence, messages: keys.map { Entry(user: user, key: $0, at: at, body: ByteBuffer(string: $0)) }, retention: retention,
            name: name, behind: behind)
    }
}

extension [StoredMessage] {
    var bodies: [String] { map { String(buffer: $0.body) } }
    var positions: [Position] { map(\.position) }
}

func at(_ epoch: UInt64, _ seq: UInt64) -> Position { Position(epoch: epoch, seq: seq) }

/// Takes the value first: `#expect(try await … == …)` was seen to fail for equal values (Swift 6.3.1).
func expect<Value: Equatable>(_ actual: Value, is expected: Value, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(actual == expected, sourceLocation: sourceLocation)
}
