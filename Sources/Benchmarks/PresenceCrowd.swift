import Dispatch
import Foundation
import Synchronization
import Wire

/// Sessions that join a room and stay. A few threads hold them, each its share.
final class PresenceCrowd: Sendable {
    private static let threads = 8

    private let dialect: Dialect
    private let target: LoadTarget
    private let tokens: [String]
    private let done = DispatchSemaphore(value: 0)
    private let next = DispatchSemaphore(value: 0)
    private let failure = Mutex<(any Error)?>(nil)
    private let hasStopped = Mutex(false)

    init(_ dialect: Dialect, target: LoadTarget, tokens: [String]) {
        self.dialect = dialect
        self.target = target
        self.tokens = tokens
    }

    /// All of them say hello.
    func connect() throws {
        for share in 0..<Self.threads { Thread.detachNewThread { [self] in hold(share) } }
        try waitForAll()
    }

    /// All of them join the room.
    func join() throws {
        for _ in 0..<Self.threads { next.signal() }
        try waitForAll()
    }

    /// Lets go of them.
    func stop() {
        hasStopped.withLock { $0 = true }
        for _ in 0..<2 * Self.threads { next.signal() }
    }

    private func waitForAll() throws {
        for _ in 0..<Self.threads { done.wait() }
        if let failure = failure.withLock({ $0 }) { throw failure }
    }

    private func hold(_ share: Int) {
        let inbox = LoadInbox()
        var members: [(connection: LoadConnection, session: Int)] = []
        attempt {
            for number in stride(from: share, to: tokens.count, by: Self.threads) {
                let connection = try LoadConnection(dialect, target: target, number: number, tls: nil, inbox: inbox)
                let session = try connection.openSession()
                try connection.ask(try dialect.hello(token: tokens[number], device: "device"), id: 1, on: session)
                members.append((connection, session))
            }
        }
        next.wait()
        guard !hasStopped.withLock({ $0 }) else { return }
        attempt {
            for member in members { try member.connection.ask(try dialect.join(), id: 2, on: member.session) }
        }
        next.wait()
    }

    private func attempt(_ body: () throws -> Void) {
        do {
            try body()
        } catch {
            failure.withLock { $0 = $0 ?? error }
        }
        done.signal()
    }
}

/// Somebody who is told who is in the room, on a thread of its own.
final class PresenceObserver: Sendable {
    private struct State {
        var count = 0
        var pushes = 0
        var hasStopped = false
        var failure: (any Error)?
    }

    private static let waitMost = 20.0
    private let state = Mutex(State())
    private let pause = DispatchSemaphore(value: 0)

    /// Returns when the first list is there.
    init(_ dialect: Dialect, target: LoadTarget, token: String) throws {
        let joined = DispatchSemaphore(value: 0)
        Thread.detachNewThread { [self] in
            do {
                try watch(dialect, target, token) { joined.signal() }
            } catch {
                state.withLock { $0.failure = error }
                joined.signal()
            }
        }
        joined.wait()
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    var pushes: Int { state.withLock { $0.pushes } }
    func stop() { state.withLock { $0.hasStopped = true } }

    /// Throws if the relay has not told this count in time: then something was lost, or said twice.
    func waitFor(count: Int) throws {
        let deadline = DispatchTime.now() + Self.waitMost
        while true {
            let (seen, failure) = state.withLock { ($0.count, $0.failure) }
            if let failure { throw failure }
            if seen == count { return }
            guard DispatchTime.now() < deadline else { throw BenchmarkError.protocolFailed("\(seen) members are told, not \(count)") }
            _ = pause.wait(timeout: .now() + 0.05)
        }
    }

    /// Asks for a sign of life now and then, and reads what comes before it.
    private func watch(_ dialect: Dialect, _ target: LoadTarget, _ token: String, whenJoined: () -> Void) throws {
        let connection = try LoadConnection(dialect, target: target, number: 0, tls: nil, inbox: LoadInbox())
        let session = try connection.openSession()
        try connection.ask(try dialect.hello(token: token, device: "device"), id: 1, on: session)
        try connection.converse(try dialect.join(presence: true), on: session) { note($0, lastID: 2) }
        whenJoined()
        let ping = try dialect.request(4, .ping(.init()))
        while !state.withLock({ $0.hasStopped }) {
            try connection.converse(ping, on: session) { note($0, lastID: 4) }
            _ = pause.wait(timeout: .now() + 0.05)
        }
    }

    private func note(_ frame: RelayServerFrame, lastID: UInt32) -> Bool {
        state.withLock { state in
            switch frame.frame {
            case .roomPresence(let presence):
                state.count = Int(presence.count)
                state.pushes += 1
            case .subscribed(let subscribed): state.count = Int(subscribed.memberCount)
            default: break
            }
        }
        return frame.id == lastID
    }
}

/// Joins and leaves again and again. Lives on one thread.
struct PresenceGuest {
    private let dialect: Dialect
    private let target: LoadTarget
    private let number: Int
    private let token: String
    private let inbox = LoadInbox()
    private var open: (connection: LoadConnection, session: Int)?

    init(_ dialect: Dialect, target: LoadTarget, number: Int, token: String) {
        self.dialect = dialect
        self.target = target
        self.number = number
        self.token = token
    }

    mutating func joinAndLeave() throws {
        let (connection, session) = try connected()
        try connection.ask(try dialect.join(), id: 2, on: session)
        try connection.ask(try dialect.leave(), id: 3, on: session)
    }

    private mutating func connected() throws -> (connection: LoadConnection, session: Int) {
        if let open { return open }
        let connection = try LoadConnection(dialect, target: target, number: number, tls: nil, inbox: inbox)
        let session = try connection.openSession()
        try connection.ask(try dialect.hello(token: token, device: "device"), id: 1, on: session)
        open = (connection, session)
        return (connection, session)
    }
}

/// Counts from several threads.
final class PresenceTally: Sendable {
    private let counted = Atomic<Int>(0)
    func add(_ count: Int) { counted.wrappingAdd(count, ordering: .relaxed) }
    var count: Int { counted.load(ordering: .relaxed) }
}
