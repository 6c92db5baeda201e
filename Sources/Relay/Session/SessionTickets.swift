import Foundation
import MeshCore
import TLS

/// What a `welcome.session` says: which session it is, and who owned it when the text was made.
struct SessionTicket: Hashable, Sendable {
    /// Unguessable, and kept over takeovers. The first half names the session on the mesh.
    var identity: UInt64
    var secret: UInt64
    /// Grows with each takeover.
    var taken: UInt64
    var owner: NodeBoot
    /// Of the session at its owner.
    var number: UInt64
    var user: String
    var device: String

    /// Of the session that takes this one over.
    func nextIdentity(now: WallMilliseconds) -> SessionIdentity {
        SessionIdentity(number: identity, secret: secret, taken: SessionTaken.next(after: taken, now: now))
    }
}

/// Makes and reads the texts with which sessions are taken over. A text carries all that it means, under a code whose key follows from the
/// mesh's token secret: every node of the mesh can read it, and needs no store for it.
struct SessionTickets: Sendable {
    private static let version: UInt8 = 1
    /// Longer than any that is made: names have at most 255 bytes.
    static let textBytesMax = 2_048

    private static let codeBytes = 32

    /// Of its own, so that what the secret signs elsewhere means nothing here.
    private let key: [UInt8]

    init(secret: [UInt8]) {
        key = MessageAuthentication.hmacSHA256("heliograph session v1".utf8, key: secret)
    }

    func text(for ticket: SessionTicket) -> String {
        let payload = Self.payload(ticket)
        return Data(payload + MessageAuthentication.hmacSHA256(payload, key: key)).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// Nil for what no node of this mesh has made.
    func ticket(from text: String) -> SessionTicket? {
        guard text.utf8.count <= Self.textBytesMax else { return nil }
        let plain = text.replacing("-", with: "+").replacing("_", with: "/")
        let padding = String(repeating: "=", count: (4 - plain.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: plain + padding), data.count > Self.codeBytes else { return nil }
        let payload = [UInt8](data.dropLast(Self.codeBytes))
        let code = MessageAuthentication.hmacSHA256(payload, key: key)
        guard MessageAuthentication.areEqual([UInt8](data.suffix(Self.codeBytes)), code) else { return nil }
        return Self.ticket(payload)
    }

    // MARK: The payload: a version, numbers of 8 bytes, texts with a length of 2 bytes, all in network byte order

    private static func payload(_ ticket: SessionTicket) -> [UInt8] {
        var bytes = [version]
        for number in [ticket.identity, ticket.secret, ticket.taken, ticket.owner.boot, ticket.number] {
            withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
        }
        for text in [ticket.owner.node.region.name, ticket.owner.node.name, ticket.user, ticket.device] {
            withUnsafeBytes(of: UInt16(clamping: text.utf8.count).bigEndian) { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: text.utf8)
        }
        return bytes
    }

    private static func ticket(_ payload: [UInt8]) -> SessionTicket? {
        var rest = payload[...]
        guard rest.popFirst() == version, let identity = takeNumber(&rest), let secret = takeNumber(&rest), let taken = takeNumber(&rest),
            let boot = takeNumber(&rest), let number = takeNumber(&rest), let region = takeText(&rest), let node = takeText(&rest),
            let user = takeText(&rest), let device = takeText(&rest), rest.isEmpty
        else { return nil }
        let owner = NodeBoot(node: NodeID(region: RegionID(region), name: node), boot: boot)
        return SessionTicket(
            identity: identity, secret: secret, taken: taken, owner: owner, number: number, user: user, device: device)
    }

    private static func takeNumber(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
        guard rest.count >= 8 else { return nil }
        defer { rest = rest.dropFirst(8) }
        return rest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func takeText(_ rest: inout ArraySlice<UInt8>) -> String? {
        guard rest.count >= 2 else { return nil }
        let length = rest.prefix(2).reduce(0) { $0 << 8 | Int($1) }
        rest = rest.dropFirst(2)
        guard rest.count >= length else { return nil }
        defer { rest = rest.dropFirst(length) }
        return String(validating: rest.prefix(length), as: UTF8.self)
    }
}
