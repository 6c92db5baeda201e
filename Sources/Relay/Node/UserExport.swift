import Foundation
import MeshCore
import NIOCore
import NIOFoundationCompat
import Operations
import Wire

/// Everything that is stored of a user, as lines of JSON. A page is read when it is asked for, so nothing piles up behind a slow reader.
actor UserExport {
    private enum Stage {
        case messages(after: Position)
        case rooms(after: String)
        case done
    }

    private let user: String
    private let node: RunningNode
    private var stage = Stage.messages(after: .zero)
    /// What `begin` has read.
    private var opening: ByteBuffer?

    private static let deadline = TimeSpan.seconds(5)
    private static let messagesPage = 200
    private static let roomsPage = 500

    init(user: String, node: RunningNode) {
        self.user = user
        self.node = node
    }

    private var inbox: String { NameRules.inbox(of: user) }

    /// Reads her profile and devices. Fails if her home cannot be reached.
    func begin() async throws(Refusal) {
        let answer = await node.ask(inbox, .data(.profile), within: Self.deadline)
        guard case .data(.profile(let profile)) = answer else { throw Self.refusal(answer) }
        var page = ByteBuffer()
        Self.append(ExportLine.Profile(user: user, profile), to: &page)
        for session in profile.sessions { Self.append(ExportLine.Device(session), to: &page) }
        for device in profile.pushDevices { Self.append(ExportLine.PushDevice(device), to: &page) }
        opening = page
    }

    /// Nil after the last one.
    func nextPage() async -> ByteBuffer? {
        if let page = opening {
            opening = nil
            return page
        }
        do throws(Refusal) {
            switch stage {
            case .messages(let after): return try await messages(after: after)
            case .rooms(let after): return try await rooms(after: after)
            case .done: return nil
            }
        } catch {
            stage = .done
            var page = ByteBuffer()
            Self.append(ExportLine.Fault(error: error.message), to: &page)
            return page
        }
    }

    private func messages(after: Position) async throws(Refusal) -> ByteBuffer {
        let ask = HistoryAsk(after: after, before: nil, limit: Self.messagesPage, newest: false)
        let answer = await node.ask(inbox, .history(ask), within: Self.deadline)
        guard case .history(let messages, let more) = answer else { throw Self.refusal(answer) }
        if more, let last = messages.last?.position { stage = .messages(after: last) } else { stage = .rooms(after: "") }
        var page = ByteBuffer()
        for message in messages.compactMap({ MessageBody.decode($0.body) }) { Self.append(message, to: &page) }
        return page
    }

    private func rooms(after: String) async throws(Refusal) -> ByteBuffer {
        let answer = await node.ask(inbox, .data(.rooms(after: after, limit: Self.roomsPage)), within: Self.deadline)
        guard case .data(.rooms(let rooms)) = answer else { throw Self.refusal(answer) }
        if let last = rooms.last { stage = .rooms(after: last) } else { stage = .done }
        var page = ByteBuffer()
        for room in rooms { Self.append(ExportLine.Receipt(room: room, try await receipt(in: room)), to: &page) }
        return page
    }

    private func receipt(in room: String) async throws(Refusal) -> ReceiptPositions {
        let answer = await node.ask(room, .unread(user: user), within: Self.deadline)
        guard case .unread(let unread) = answer else { throw Self.refusal(answer) }
        return unread.own
    }

    private static func refusal(_ answer: RootResponse.Answer) -> Refusal {
        if case .refused(let refusal) = answer { return refusal }
        return Refusal(.unavailable, "the user's home answered something else")
    }

    // MARK: Lines

    private static func append(_ line: some Encodable, to page: inout ByteBuffer) {
        guard let bytes = try? JSONEncoder.sorted.encode(line) else { return }
        page.writeData(bytes)
        page.writeInteger(UInt8(ascii: "\n"))
    }

    /// `{"kind":"message","message":{…}}`, the inner one as clients are sent it.
    private static func append(_ message: RelayMessage, to page: inout ByteBuffer) {
        var frame = ByteBuffer()
        MessageJSON.append(message, to: &frame)
        frame.moveReaderIndex(forwardBy: 1)
        page.writeString(#"{"kind":"message","#)
        page.writeBuffer(&frame)
        page.writeInteger(UInt8(ascii: "\n"))
    }
}
