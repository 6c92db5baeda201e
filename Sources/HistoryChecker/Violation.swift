import MeshCore

/// A promise that a history shows to be broken.
public struct Violation: Hashable, Sendable, CustomStringConvertible {
    public enum Rule: String, Hashable, Sendable, CaseIterable {
        /// P1: positions increase strictly for every reader.
        case order
        /// P1: nothing is delivered to a reader twice, over all its resumes.
        case twice
        /// P1: a publisher's messages stand in the order in which it sent them.
        case sendingOrder
        /// P1: one position is one message, whoever looks.
        case disagreement
        /// P2: what a reader did not get was announced as a gap before anything later came.
        case hole
        /// P2: a gap names what is gone, exactly: nothing that is kept, nothing in front of it left out.
        case gap
        /// P2: when all is quiet every reader has reached the end of the log.
        case unfinished
        /// P3: a key has one position.
        case keyTwice
        /// P3: a repeat is answered as such.
        case duplicateFlag
        /// P4: what was acknowledged is in the log, where it was said to be.
        case lost
        /// P6: `recovered` says whether something is missing at the start, and a resume is for what was asked.
        case recovery
        /// Nothing comes from nobody.
        case invented
        /// The clock of a room does not go back.
        case time
        /// The client that logged did something that the rules cannot judge: it is at fault, not the relay.
        case badClient
        /// Too little happened to prove anything.
        case tooLittle
    }

    public var rule: Rule
    /// Nil if it is about the whole run.
    public var room: String?
    public var client: String?
    public var detail: String
    /// What the client logged of the room just before, the last line being where it shows.
    public var context: [String]

    init(_ rule: Rule, room: String?, client: String?, _ detail: String, context: [String] = []) {
        self.rule = rule
        self.room = room
        self.client = client
        self.detail = detail
        self.context = context
    }

    public var description: String {
        let place = [room.map { "in \($0)" }, client.map { "for \($0)" }].compactMap { $0 }.joined(separator: " ")
        return "\(rule.rawValue) \(place): \(detail)" + context.map { "\n    \($0)" }.joined()
    }
}
