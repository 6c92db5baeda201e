import MeshCore
import Testing

@testable import Relay

private let owner = NodeBoot(node: NodeID(region: RegionID("eu-west"), name: "größe"), boot: 1 << 60)
private let ticket = SessionTicket(
    identity: .max, secret: 5, taken: 1_700_000_000_000, owner: owner, number: 77, user: "älice", device: "phone \"1\"")

@Suite("The text of a session") struct SessionTicketTests {
    private let tickets = SessionTickets(secret: Array("a secret of the mesh".utf8))

    @Test("every node of the mesh reads what one of them has made") func roundTrip() {
        let text = tickets.text(for: ticket)
        #expect(SessionTickets(secret: Array("a secret of the mesh".utf8)).ticket(from: text) == ticket)
        #expect(text.utf8.allSatisfy { $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "=") })
    }

    @Test("names of any length are carried", arguments: [0, 1, 255])
    func lengths(_ length: Int) {
        var other = ticket
        other.user = String(repeating: "u", count: length)
        other.device = String(repeating: "d", count: length)
        #expect(tickets.ticket(from: tickets.text(for: other)) == other)
    }

    @Test("nothing else is read") func refused() {
        let text = tickets.text(for: ticket)
        #expect(SessionTickets(secret: Array("another secret".utf8)).ticket(from: text) == nil)
        for index in text.indices {
            var forged = text
            forged.replaceSubrange(index...index, with: text[index] == "A" ? "B" : "A")
            // The last character of base64 may hold bits that mean nothing.
            guard index != text.indices.last else { continue }
            #expect(tickets.ticket(from: forged) == nil)
        }
        for length in [0, 1, 40, 60] { #expect(tickets.ticket(from: String(text.prefix(length))) == nil) }
        for garbage in ["", "nonsense", "ä", text + "AAAA", String(repeating: "A", count: 5_000)] {
            #expect(tickets.ticket(from: garbage) == nil)
        }
    }

    @Test("a takeover keeps the identity and comes after the one before") func next() {
        let next = ticket.nextIdentity(now: 1_700_000_000_500)
        #expect(next == SessionIdentity(number: .max, secret: 5, taken: 1_700_000_000_500))
        #expect(ticket.nextIdentity(now: 0).taken == ticket.taken + 1, "also by a clock that is late")
    }

    @Test("of two takeovers the later one counts, of the same moment always the same one") func order() {
        let heirs = ["a", "b"].map { SessionHeir(owner: NodeBoot(node: NodeID(region: RegionID("eu"), name: $0), boot: 1), number: 1) }
        #expect(SessionTaken.isLater((2, heirs[0]), than: (1, heirs[1])))
        #expect(!SessionTaken.isLater((1, heirs[1]), than: (2, heirs[0])))
        #expect(SessionTaken.isLater((1, heirs[1]), than: (1, heirs[0])) && !SessionTaken.isLater((1, heirs[0]), than: (1, heirs[1])))
        #expect(!SessionTaken.isLater((1, heirs[0]), than: (1, heirs[0])))
    }
}
