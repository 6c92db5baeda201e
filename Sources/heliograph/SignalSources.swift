import Foundation

/// Turns signals into calls on a queue of their own, and keeps the process alive through them.
final class SignalSources {
    private let sources: [any DispatchSourceSignal]

    init(_ signals: [Int32], _ received: @escaping @Sendable (Int32) -> Void) {
        let queue = DispatchQueue(label: "signals")
        // A closed pipe behind standard output is no reason to leave without stopping the children in order.
        signal(SIGPIPE, SIG_IGN)
        sources = signals.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { received(number) }
            source.resume()
            return source
        }
    }

    func cancel() { for source in sources { source.cancel() } }
}
