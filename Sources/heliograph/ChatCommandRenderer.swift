import Foundation
import HeliographClient
import MeshCore
import Wire

/// How the chat's lines look. A value: it gets a push and returns text.
struct ChatRenderer: Sendable {
    let user: String
    let usesColour: Bool

    static let help = [
        "/who              who is here",
        "/status S [NOTE]  online, away, busy or invisible",
        "/ping             the time to the relay and back",
        "/quit             leave (Ctrl-D and Ctrl-C too)",
        "//text            a message that begins with a slash",
    ]

    /// Nothing for pushes of other rooms and for what is shown elsewhere.
    func lines(for push: ClientPush, room: String) -> [String] {
        switch push {
        case .message(let message): message.room == room ? [line(message)] : []
        case .roomPresence(let presence): presence.room == room ? lines(presence) : []
        case .gap(let gap): [warning("messages \(gap.from.seq) to \(gap.to.seq) are lost")]
        case .unsubscribed(let unsubscribed): [warning("no longer in \(plain(unsubscribed.room)): \(plain(unsubscribed.error.message))")]
        case .disconnected(let cause, let wait): [warning("disconnected (\(plain("\(cause)"))), next try in \(wait)")]
        case .reconnected(let welcome): [notice("connected again, to \(plain(welcome.node)) in \(plain(welcome.region))")]
        case .subscribed, .typing, .userPresence, .receipt: []
        }
    }

    func prompt(room: String, typists: [String]) -> String {
        let typing: String
        switch typists.count {
        case 0: typing = ""
        case 1: typing = "\(plain(typists[0])) is typing… "
        case 2: typing = "\(plain(typists[0])) and \(plain(typists[1])) are typing… "
        default: typing = "\(typists.count) people are typing… "
        }
        return typing + room + "> "
    }

    func member(_ member: RelayMember) -> String {
        let note = member.note.isEmpty ? "" : ": \(plain(member.note))"
        let devices = member.devices > 1 ? ", \(member.devices) devices" : ""
        return "  \(name(member.user)) \(dim("\(statusName(member.status))\(devices)\(note)"))"
    }

    func notice(_ text: String) -> String { dim("* " + text) }
    func warning(_ text: String) -> String { colour("33", "! " + text) }

    // MARK: - Pieces

    private func line(_ message: RelayMessage) -> String {
        let text: String
        switch message.content {
        case .text(let content): text = plain(content)
        case .data(let data): text = dim("(\(data.count) bytes\(message.contentType.isEmpty ? "" : " of " + plain(message.contentType)))")
        case nil: text = ""
        }
        return "\(dim(clock(message.at))) \(name(message.from)) \(text)"
    }

    private func lines(_ presence: RelayRoomPresence) -> [String] {
        presence.joined.filter { $0.user != user }.map { notice("\(plain($0.user)) is here") }
            + presence.updated.filter { $0.user != user }.map { notice("\(plain($0.user)) is \(statusName($0.status))") }
            + presence.left.filter { $0 != user }.map { notice("\(plain($0)) left") }
    }

    /// The same colour for the same name, everywhere.
    private func name(_ name: String) -> String {
        let shades = ["31", "32", "34", "35", "36", "91", "92", "94", "95", "96"]
        let shade = shades[Int(stableHash(name) % UInt64(shades.count))]
        return colour(name == user ? "1;" + shade : shade, plain(name))
    }

    private func statusName(_ status: RelayStatus) -> String {
        switch status {
        case .online: "online"
        case .away: "away"
        case .busy: "busy"
        case .invisible: "invisible"
        case .offline: "offline"
        case .unknown, .UNRECOGNIZED: "unknown"
        }
    }

    private func clock(_ at: Int64) -> String {
        var seconds = time_t(at / 1000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return String(format: "%02d:%02d", parts.tm_hour, parts.tm_min)
    }

    private func dim(_ text: String) -> String { colour("2", text) }

    private func colour(_ code: String, _ text: String) -> String {
        usesColour ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    /// What others wrote must not steer the terminal: control characters and overrides of the writing direction become
    /// visible marks, line breaks an indented new line.
    func plain(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x0A: result += "\n      "
            case 0x09: result += " "
            case 0..<0x20, 0x7F..<0xA0, 0x202A...0x202E, 0x2066...0x2069: result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
