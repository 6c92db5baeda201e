import MeshCore
import SwiftProtobuf
import Testing
import Wire

@testable import HeliographClient

/// What the client asks for by itself, and what becomes of it when it fails.
@Suite struct ClientStateTests {
    private let later = Instant.zero + .seconds(1)
    private var state: ClientState

    init() {
        let room = ResumeState.Room(room: "lobby", position: Position(epoch: 1, seq: 4))
        state = ClientState(resumption: ResumptionTracker(ResumeState(rooms: [room])))
        state.restorations.agreed(to: .with { $0.presence.status = .away })
        state.restorations.agreed(to: .with { $0.watch.users = ["bob"] })
        var random = SeededRandom(seed: 3)
        _ = state.resumption.welcomed(RelayWelcome(), now: .zero, using: &random)
        state.restorations.welcomed(now: .zero)
    }

    private mutating func due(at now: Instant = .zero) -> [String] {
        state.due(at: now).map { due in
            switch due.waiter {
            case .resubscription(let room): room
            case .restoration(let part): "\(part)"
            default: "other"
            }
        }
    }

    @Test mutating func whatFailsIsAskedForAgain() {
        let waiters = state.due(at: .zero).map(\.waiter)
        #expect(waiters.count == 3 && due(at: later).isEmpty)
        let errors: [HeliographClientError] = [.tooManyRequests, .deadlineExceeded, .unexpectedReply]
        for (waiter, error) in zip(waiters, errors) { state.fail(waiter, error, now: .zero) }
        #expect(due().isEmpty)
        #expect(due(at: later) == ["presence", "watching", "lobby"])
    }

    @Test(
        arguments: [
            (.with { $0.subscribe.room = "lobby" }, ["presence", "watching"]),
            (.with { $0.unsubscribe.room = "lobby" }, ["presence", "watching"]),
            (.with { $0.presence.status = .busy }, ["watching", "lobby"]),
            (.with { $0.unwatch.users = ["bob"] }, ["presence", "lobby"]),
            (.with { $0.subscribe.room = "elsewhere" }, ["presence", "watching", "lobby"]),
        ] as [(RelayClientFrame, [String])])
    mutating func whatTheApplicationIsChangingWaitsForItsAnswer(_ own: RelayClientFrame, others: [String]) throws {
        let added = state.table.add(own, waiter: .resubscription(room: "none"), deadline: later, survivesReconnect: true)
        let id = try #require(added)
        #expect(due() == others)
        state.fail(id, HeliographClientError.deadlineExceeded, now: .zero)
        #expect(Set(due() + others) == ["presence", "watching", "lobby"])
    }
}
