import MeshCore
import SwiftProtobuf
import Wire

/// Who waits for an answer.
enum Waiter: Sendable {
    case caller(CheckedContinuation<RelayServerFrame, any Error>)
    /// An attempt to connect, which has this connection.
    case hello(ClientConnection, CheckedContinuation<RelayServerFrame, any Error>)
    /// The client itself, after a reconnect.
    case resubscription(room: String)
    case restoration

    func fail(_ error: any Error) {
        switch self {
        case .caller(let continuation), .hello(_, let continuation): continuation.resume(throwing: error)
        case .resubscription, .restoration: break
        }
    }
}

/// What the client knows, under one lock.
struct ClientState: Sendable {
    enum Phase: Sendable {
        /// Requests that may be repeated wait for the connection, others are refused.
        case connecting
        case open(ClientConnection)
        case over(HeliographClientError)
    }

    var phase = Phase.connecting
    var table = RequestTable<RelayClientFrame, Waiter>(requestsMax: HeliographClient.requestsMax)
    /// Grows with each connection: what an older one still says is not heard.
    var generation = 0
    var welcome = RelayWelcome()
    var resumption: ResumptionTracker
    var watched: [String] = []
    var presence: RelayPresence?
    var supervisor: Task<Void, Never>?

    var frameBytesMax: Int { welcome.maxFrameBytes > 0 ? Int(welcome.maxFrameBytes) : 65_536 }

    init(resumption: ResumptionTracker) { self.resumption = resumption }

    /// Notes what must be said again on another connection, if the relay has agreed to it.
    mutating func agreed(to frame: RelayClientFrame, by answer: RelayServerFrame) {
        if case .error = answer.frame { return }
        switch frame.frame {
        case .subscribe(let subscribe): if case .subscribed(let subscribed) = answer.frame { resumption.subscribed(subscribe, subscribed) }
        case .unsubscribe(let unsubscribe): resumption.forget(unsubscribe.room)
        case .watch(let watch): watched += watch.users.filter { !watched.contains($0) }
        case .unwatch(let unwatch): watched.removeAll { unwatch.users.contains($0) }
        case .presence(let presence): self.presence = presence
        default: break
        }
    }

    /// What a new connection is told beside the rooms.
    var restorations: [RelayClientFrame] {
        var frames: [RelayClientFrame] = []
        if let presence { frames.append(.with { $0.presence = presence }) }
        if !watched.isEmpty { frames.append(.with { $0.watch.users = watched }) }
        return frames
    }
}
