import MeshCore
import Store
import Transport

/// What a cell counts. Plain numbers of its own; a scrape adds the cells up.
struct CellFigures: Sendable {
    enum PublishOutcome: String, CaseIterable, Sendable {
        case acknowledged, unavailable
        case exhausted = "resource_exhausted"
        case timedOut = "deadline_exceeded"
    }

    enum AdmissionOutcome: String, CaseIterable, Sendable {
        case admitted, queued, refused
    }

    var ticks: UInt64 = 0
    var hellos: UInt64 = 0
    var admissions: [AdmissionOutcome: UInt64] = [:]
    var deliveries: UInt64 = 0
    var publishes: [PublishOutcome: UInt64] = [:]
    /// At roots.
    var publishedHome: UInt64 = 0
    var publishedEphemeral: UInt64 = 0
    var publishedDuplicate: UInt64 = 0
    var appendBatches: UInt64 = 0
    /// Replays that a level did not have and asked for.
    var replayAsks: UInt64 = 0
    /// Sessions that were served from history because they read too slowly.
    var fellBehind: UInt64 = 0
    var replayed: UInt64 = 0
    /// Taken from sessions.
    var receipts: UInt64 = 0
    /// Writes of roots, each of all receipts of a room that moved.
    var receiptWrites: UInt64 = 0
    var tlsHandshakes: UInt64 = 0
    var tlsResumptions: UInt64 = 0

    mutating func add(_ other: CellFigures) {
        ticks += other.ticks
        hellos += other.hellos
        admissions.merge(other.admissions, uniquingKeysWith: +)
        deliveries += other.deliveries
        publishes.merge(other.publishes, uniquingKeysWith: +)
        publishedHome += other.publishedHome
        publishedEphemeral += other.publishedEphemeral
        publishedDuplicate += other.publishedDuplicate
        appendBatches += other.appendBatches
        replayAsks += other.replayAsks
        fellBehind += other.fellBehind
        replayed += other.replayed
        receipts += other.receipts
        receiptWrites += other.receiptWrites
        tlsHandshakes += other.tlsHandshakes
        tlsResumptions += other.tlsResumptions
    }
}

/// Everything a scrape asks of one cell.
struct CellReport: Sendable {
    var figures: CellFigures
    var drops: DropLedger
    var store: StoreFigures
    var storeState: StoreState
    var sessions: Int
    /// That have ended and are still shown.
    var lingeringSessions: Int
    var rooms: Int
    var hubs: Int
    var rootedRooms: Int
    var requests: Int
    var tailBytes: Int
    /// Hellos that wait for their turn.
    var admissionQueue: Int
    /// Calls to the store that wait for their turn.
    var storeGateWaiting: Int
    var doors: [ClientConnection.Door: Int]
    /// HTTP/2 connections.
    var multiplexers: Int
    var sends: UInt64
    var sentBytes: UInt64
    var partialSends: UInt64
}
