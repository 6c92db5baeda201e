import Foundation
import Synchronization

/// Keeps the ports of a mesh from everybody else for as long as it lives, so that a node or a Redis that is down for a
/// while finds its port again.
final class PortReservations: Sendable {
    let ports: [Int]
    private let descriptors: Mutex<[Int32]>

    private init(_ held: [(descriptor: Int32, port: Int)]) {
        ports = held.map(\.port)
        descriptors = Mutex(held.map(\.descriptor))
    }

    /// Reserves what `wanted` lists. Port 0 takes a free one.
    ///
    /// - Throws: `portsInUse` with all that are, and then none is kept.
    static func hold(_ wanted: [(port: Int, purpose: String)]) throws(LocalMeshError) -> PortReservations {
        var held: [(descriptor: Int32, port: Int)] = []
        var refused: [String] = []
        for (port, purpose) in wanted {
            if let one = LoopbackSocket.reserve(port: port) { held.append(one) } else { refused.append("\(port) (\(purpose))") }
        }
        let reservations = PortReservations(held)
        guard refused.isEmpty else {
            reservations.release()
            throw .portsInUse(refused)
        }
        return reservations
    }

    func release() {
        descriptors.withLock { held in
            for descriptor in held { close(descriptor) }
            held = []
        }
    }

    deinit { release() }
}
