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
    case restoration(Restorations.Part)
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
    var restorations = Restorations()
    var supervisor: Task<Void, Never>?

    var frameBytesMax: Int { welcome.maxFrameBytes > 0 ? Int(welcome.maxFrameBytes) : 65_536 }

    init(resumption: ResumptionTracker) { self.resumption = resumption }

    /// Notes what must be said again on another connection, if the relay has agreed to it.
    mutating func answered(_ frame: RelayClientFrame, by answer: RelayServerFrame, now: Instant) {
        switch (frame.frame, answer.frame) {
        case (.subscribe(let ask)?, .error(let error)?):
            var random = SystemRandomNumberGenerator()
            resumption.refused(ask, error, now: now, using: &random)
        case (_, .error?): break
        case (.subscribe(let ask)?, .subscribed(let subscribed)?): resumption.subscribed(ask, subscribed)
        case (.unsubscribe(let ask)?, _): resumption.forget(ask.room)
        default: restorations.agreed(to: frame)
        }
    }

    /// A request could not be sent, or its answer did not come. What the client has asked for itself it will ask for again.
    mutating func fail(_ waiter: Waiter, _ error: any Error, now: Instant) {
        var random = SystemRandomNumberGenerator()
        switch waiter {
        case .caller(let continuation), .hello(_, let continuation): continuation.resume(throwing: error)
        case .resubscription(let room): resumption.unanswered(room, now: now, using: &random)
        case .restoration(let part): restorations.postpone(part, now: now, using: &random)
        }
    }

    /// A request that still waits has failed.
    mutating func fail(_ id: UInt32, _ error: any Error, now: Instant) {
        if let request = table.remove(id) { fail(request.waiter, error, now: now) }
    }

    /// What the client has to ask for by itself now. What the application changes just now is left out: it would be undone.
    mutating func due(at now: Instant) -> [(frame: RelayClientFrame, waiter: Waiter)] {
        var rooms: Set<String> = []
        var parts: Set<Restorations.Part> = []
        for (_, body) in table.waiting {
            switch body.frame {
            case .subscribe(let ask): rooms.insert(ask.room)
            case .unsubscribe(let ask): rooms.insert(ask.room)
            case .presence: parts.insert(.presence)
            case .unwatch: parts.insert(.watching)
            default: break
            }
        }
        let restored = restorations.due(at: now, except: parts, bytesMax: frameBytesMax).map { ($0.frame, Waiter.restoration($0.part)) }
        return restored
            + resumption.due(at: now, except: rooms).map { ask in (.with { $0.subscribe = ask }, .resubscription(room: ask.room)) }
    }
}
