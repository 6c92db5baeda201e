import MeshCore
import SwiftProtobuf
import Wire

/// Who waits for an answer.
enum Waiter: Sendable {
    case caller(CheckedContinuation<RelayServerFrame, any Error>)
    /// The client itself, after a reconnect.
    case resubscription(room: String)
    case restoration

    func fail(_ error: any Error) {
        if case .caller(let continuation) = self { continuation.resume(throwing: error) }
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
    /// In the order of subscribing, to be said again after a reconnect.
    var subscriptions: [RelaySubscribe] = []
    var watched: [String] = []
    var presence: RelayPresence?
    var supervisor: Task<Void, Never>?

    var frameBytesMax: Int { welcome.maxFrameBytes > 0 ? Int(welcome.maxFrameBytes) : 65_536 }

    /// Notes what must be said again on another connection, once the relay has agreed to it.
    mutating func agreed(to frame: RelayClientFrame) {
        switch frame.frame {
        case .subscribe(let subscribe):
            forget(room: subscribe.room)
            var again = subscribe
            again.clearFrom()
            subscriptions.append(again)
        case .unsubscribe(let unsubscribe): forget(room: unsubscribe.room)
        case .watch(let watch): watched += watch.users.filter { !watched.contains($0) }
        case .unwatch(let unwatch): watched.removeAll { unwatch.users.contains($0) }
        case .presence(let presence): self.presence = presence
        default: break
        }
    }

    mutating func forget(room: String) { subscriptions.removeAll { $0.room == room } }

    /// What a new connection is told before anything else.
    var restorations: [(frame: RelayClientFrame, waiter: Waiter)] {
        var frames: [(frame: RelayClientFrame, waiter: Waiter)] = []
        if let presence { frames.append((.with { $0.presence = presence }, .restoration)) }
        for subscribe in subscriptions { frames.append((.with { $0.subscribe = subscribe }, .resubscription(room: subscribe.room))) }
        if !watched.isEmpty { frames.append((.with { $0.watch.users = watched }, .restoration)) }
        return frames
    }
}
