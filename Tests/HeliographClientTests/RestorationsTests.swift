import MeshCore
import SwiftProtobuf
import Testing
import Wire

@testable import HeliographClient

/// What a new connection is told of presence and watched users, without a connection.
@Suite struct RestorationsTests {
    private var random = SeededRandom(seed: 5)
    private var restorations = Restorations()

    private let away = RelayClientFrame.with { $0.presence.status = .away }

    private func watch(_ users: [String]) -> RelayClientFrame { .with { $0.watch.users = users } }

    private mutating func due(
        _ milliseconds: Int = 0, except excluded: Set<Restorations.Part> = [], bytesMax: Int = 65_536
    ) -> [RelayClientFrame] {
        restorations.due(at: Instant.zero + .milliseconds(milliseconds), except: excluded, bytesMax: bytesMax).map(\.frame)
    }

    @Test mutating func eachConnectionIsToldOnceWhatTheLastHasAgreedTo() {
        restorations.welcomed(now: .zero)
        #expect(due().isEmpty)
        restorations.agreed(to: away)
        restorations.agreed(to: watch(["bob", "carol"]))
        restorations.agreed(to: watch(["carol", "dave"]))
        restorations.agreed(to: .with { $0.unwatch.users = ["bob"] })
        #expect(due(9_999).isEmpty, "this relay knows it")
        restorations.welcomed(now: .zero)
        #expect(due() == [away, watch(["carol", "dave"])])
        #expect(due(9_999).isEmpty)
    }

    @Test mutating func whatFailsIsToldAgainLessAndLessOften() {
        restorations.agreed(to: watch(["bob"]))
        restorations.agreed(to: away)
        restorations.welcomed(now: .zero)
        #expect(due() == [away, watch(["bob"])])
        restorations.postpone(.watching, now: .zero, using: &random)
        restorations.postpone(.watching, now: .zero, using: &random)
        #expect(due(499).isEmpty)
        #expect(due(1_000) == [watch(["bob"])], "frames that fail together count once")
        restorations.postpone(.watching, now: .zero, using: &random)
        #expect(due(999).isEmpty)
        #expect(due(2_000) == [watch(["bob"])])
        restorations.postpone(.watching, notBefore: .seconds(20), now: .zero, using: &random)
        #expect(due(19_999).isEmpty)
        #expect(due(30_000) == [watch(["bob"])])
    }

    @Test mutating func whatTheApplicationChangesIsNotUndone() {
        restorations.agreed(to: away)
        restorations.agreed(to: watch(["bob", "carol"]))
        restorations.welcomed(now: .zero)
        #expect(due(except: [.presence, .watching]).isEmpty)
        restorations.agreed(to: .with { $0.unwatch.users = ["bob"] })
        restorations.agreed(to: .with { $0.presence.status = .busy })
        #expect(due() == [watch(["carol"])], "the relay has heard of the presence")
    }

    @Test mutating func usersThatOneFrameCannotHoldAreToldInSeveral() throws {
        let users = (0..<1_000).map { "\($0)" + String(repeating: "\"", count: 250) }
        for user in users { restorations.agreed(to: watch([user])) }
        restorations.welcomed(now: .zero)
        let frames = due(bytesMax: 65_536)
        #expect(frames.flatMap { $0.watch.users } == users)
        let sizes = try frames.map { try $0.jsonUTF8Data().count }
        #expect(sizes.allSatisfy { $0 <= 65_536 } && sizes.count < 10, "\(sizes)")
    }
}
