import NIOCore
import NIOPosix
import Testing

/// Asks until there is an answer, or fails the test at the deadline with what was asked for.
func eventually<Answer: Sendable>(
    _ what: String, within limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation,
    _ ask: () async throws -> Answer?
) async throws -> Answer {
    let deadline = ContinuousClock.now + limit
    var lastError: (any Error)?
    repeat {
        do {
            if let answer = try await ask() { return answer }
            lastError = nil
        } catch {
            lastError = error
        }
        try await Pause.betweenQuestions()
    } while ContinuousClock.now < deadline
    let reason = lastError.map { ": \($0)" } ?? ""
    Issue.record("not within \(limit): \(what)\(reason)", sourceLocation: sourceLocation)
    throw SystemTestError("not within \(limit): \(what)\(reason)")
}

func eventually(
    _ what: String, within limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation,
    _ holds: () async throws -> Bool
) async throws {
    let _: Bool = try await eventually(what, within: limit, sourceLocation: sourceLocation) { try await holds() ? true : nil }
}

enum Pause {
    /// What cannot tell us of a change is asked every 20 ms.
    fileprivate static func betweenQuestions() async throws { try await of(milliseconds: 20) }

    /// For whoever plays people and faults, which take their time. Never to wait for something that can be asked for.
    static func of(milliseconds: Int) async throws {
        try await MultiThreadedEventLoopGroup.singleton.next().scheduleTask(in: .milliseconds(Int64(milliseconds))) {}.futureResult.get()
    }
}

/// A client that was told when to come back does as it was told.
func waitAsTold(milliseconds: UInt32) async throws {
    try await MultiThreadedEventLoopGroup.singleton.next().scheduleTask(in: .milliseconds(Int64(milliseconds))) {}.futureResult.get()
}
