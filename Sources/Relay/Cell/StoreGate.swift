import DequeModule
import NIOCore

/// Bounds how many calls of a cell to the store are under way for which no client waits: members and last-seen times that a cold room reads, logs
/// that are opened because somebody listens, the mirror of presence. When thousands of sessions come or go together, each of their rooms wants
/// some: without a bound they would be a second storm, on the store, and in the way of publishes.
final class StoreGate {
    private let most: Int
    private var inFlight = 0
    private var waiting: Deque<() -> EventLoopFuture<Void>> = []
    private var isPumping = false

    init(most: Int) { self.most = most }

    var waitingCount: Int { waiting.count }
    /// Whether a call would begin at once. Who can also come later, with more to say, does.
    var isOpen: Bool { inFlight < most }

    /// Makes a call now or when others have ended, in order.
    ///
    /// - Parameter call: the future that it returns is of the cell's loop and says when the call has ended, whatever came of it.
    func run(_ call: @escaping () -> EventLoopFuture<Void>) {
        waiting.append(call)
        pump()
    }

    /// A loop: calls that end at once, of which there may be thousands, must not begin each other.
    private func pump() {
        guard !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        while isOpen, let next = waiting.popFirst() {
            inFlight += 1
            next().assumeIsolated().whenComplete { _ in self.ended() }
        }
    }

    private func ended() {
        inFlight -= 1
        pump()
    }
}
