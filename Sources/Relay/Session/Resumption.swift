import MeshCore
import SwiftProtobuf
import Wire

/// The rooms of a hello's `resume`, until the welcome tells what became of each: of those that take too long, that they are pending.
final class Resumption {
    /// The contract promises the welcome within half a second.
    static let patience = TimeSpan.milliseconds(350)
    /// So the welcome that names them all stays below the largest frame.
    static let roomsMax = 2_000

    private var rooms: [String] = []
    private var outcomes: [String: RelayResumed] = [:]
    private var settledRooms = 0
    private var heldBytes = 0
    /// Of first pages, until the welcome is sent.
    private static let heldBytesMax = 2 << 20
    private var proceed: (([RelayResumed]) -> Void)?

    init(proceed: @escaping ([RelayResumed]) -> Void) { self.proceed = proceed }

    func expect(_ room: String) {
        guard outcomes[room] == nil else { return }
        rooms.append(room)
        outcomes[room] = .with {
            $0.room = room
            $0.recovered = false
            $0.head = RelayPosition(.zero)
            $0.pending = true
        }
    }

    func settle(_ room: String, recovered: Bool, head: Position) {
        settle(room) {
            $0.recovered = recovered
            $0.head = RelayPosition(head)
        }
    }

    func refuse(_ room: String, _ fault: RequestFault) {
        settle(room) { $0.error = RelayError(fault.code, fault.message, retryAfterMs: fault.retryAfterMs) }
    }

    private func settle(_ room: String, _ fill: (inout RelayResumed) -> Void) {
        guard var outcome = outcomes[room], outcome.pending else { return }
        outcome.pending = false
        fill(&outcome)
        outcomes[room] = outcome
        settledRooms += 1
    }

    /// Whether there is room to keep a first page.
    func hold(_ bytes: Int) -> Bool {
        guard heldBytes + bytes <= Self.heldBytesMax else { return false }
        heldBytes += bytes
        return true
    }

    /// Rooms of which the welcome tells what became of them.
    var told: Set<String> { Set(rooms.filter { outcomes[$0]?.pending == false }) }

    var isSettled: Bool { settledRooms == rooms.count }

    /// Once: the time is over, or all is known.
    func finish() {
        guard let proceed else { return }
        self.proceed = nil
        proceed(rooms.compactMap { outcomes[$0] })
    }
}
