import MeshConfiguration
import MeshCore
import NIOCore
import Session
import SwiftProtobuf
import Transport
import Wire

/// The shell around a cell's `AdmissionQueue`: keeps the hellos that wait, wakes up when the next one's turn has come, and tells the sessions.
final class Admission {
    private struct Comer: Sendable {
        var session: UInt64
        var hello: RelayHello
        var id: UInt32
    }

    private unowned let cell: Cell
    private var queue: AdmissionQueue<Comer>
    private var isWakeScheduled = false
    /// A wake-up serves what has become due since the last one.
    private static let wakeLeast = TimeSpan.milliseconds(5)

    init(cell: Cell) {
        self.cell = cell
        let settings = AdmissionQueue<Comer>.Settings(perSecond: cell.context.limits.hellosPerSecondMax)
        queue = AdmissionQueue(settings, now: Clock.now(), seed: UInt64(cell.index) &+ UInt64(bitPattern: Clock.wall()))
    }

    var waiting: Int { queue.count }

    /// A hello has come. What it says of its session is not verified yet: whoever lies comes before new sessions, within the same budget.
    func consider(_ hello: RelayHello, id: UInt32, of session: ClientSession) {
        let kind: AdmissionQueue<Comer>.Kind = hello.hasSession || !hello.resume.isEmpty ? .resume : .join
        let before = queue.count
        let comer = Comer(session: session.number, hello: hello, id: id)
        let decision = queue.arrive(comer, kind, bytes: Self.bytes(of: hello), now: Clock.now())
        if queue.count > before { cell.figures.admissions[.queued, default: 0] += 1 }
        carryOut(decision)
    }

    private static func bytes(of hello: RelayHello) -> Int {
        hello.resume.reduce(512 + hello.token.utf8.count) { $0 + 128 + $1.room.utf8.count }
    }

    private func wake() {
        isWakeScheduled = false
        carryOut(queue.advance(now: Clock.now()))
    }

    private func carryOut(_ decision: AdmissionQueue<Comer>.Decision) {
        for comer in decision.admitted {
            guard let session = cell.sessions[comer.session], session.connection.isOpen else {
                queue.refund()
                continue
            }
            cell.figures.admissions[.admitted, default: 0] += 1
            session.admitted(comer.hello, id: comer.id)
        }
        for (comer, after) in decision.refused {
            cell.figures.admissions[.refused, default: 0] += 1
            cell.sessions[comer.session]?.turnAway(id: comer.id, afterMs: after.milliseconds)
        }
        scheduleWake()
    }

    private func scheduleWake() {
        let now = Clock.now()
        guard !isWakeScheduled, let due = queue.nextWake(after: now) else { return }
        isWakeScheduled = true
        let bound = NIOLoopBound(self, eventLoop: cell.loop)
        cell.loop.scheduleTask(in: .nanoseconds(max(Self.wakeLeast, due - now).nanoseconds)) { bound.value.wake() }
    }
}
