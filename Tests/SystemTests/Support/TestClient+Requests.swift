import MeshCore
import SwiftProtobuf
import Testing
import Wire

/// The protocol's requests, each with the reply that it should get.
extension TestClient {
    private func unexpected(_ reply: RelayServerFrame.OneOf_Frame, _ place: SourceLocation) -> SystemTestError {
        Issue.record("\(user) got \(reply)", sourceLocation: place)
        return SystemTestError("\(user) got \(reply)")
    }

    @discardableResult
    func subscribe(
        _ room: String, from: RelayFrom? = nil, presence: Bool = false, typing: Bool = false,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> RelaySubscribed {
        let ask = RelaySubscribe.with {
            ($0.room, $0.presence, $0.typing) = (room, presence, typing)
            if let from { $0.from = from }
        }
        let reply = try await self.ask(.subscribe(ask), sourceLocation: sourceLocation)
        guard case .subscribed(let subscribed) = reply else { throw unexpected(reply, sourceLocation) }
        return subscribed
    }

    @discardableResult
    func publish(
        _ room: String, _ text: String, key: String? = nil, durability: RelayDurability = .home,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> RelayPublished {
        let reply = try await ask(.publish(.text(room, text, key: key, durability: durability)), sourceLocation: sourceLocation)
        guard case .published(let published) = reply else { throw unexpected(reply, sourceLocation) }
        return published
    }

    /// As a client does it: with the same key as often as the relay says to come again.
    @discardableResult
    func publishUntilTaken(
        _ room: String, _ text: String, key: String, within limit: Duration = .seconds(30),
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> RelayPublished {
        try await eventually("\(user) publishes \(key) in \(room)", within: limit, sourceLocation: sourceLocation) {
            switch try await ask(.publish(.text(room, text, key: key)), within: limit, sourceLocation: sourceLocation) {
            case .published(let published): return published
            case .error(let error) where [.unavailable, .resourceExhausted, .deadlineExceeded].contains(error.code): return nil
            case let reply: throw unexpected(reply, sourceLocation)
            }
        }
    }

    func history(
        _ room: String, before: RelayPosition? = nil, after: RelayPosition? = nil, limit: UInt32 = 0,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> RelayHistory {
        let ask = RelayReadHistory.with {
            $0.room = room
            if let before { $0.before = before }
            if let after { $0.after = after }
            if limit > 0 { $0.limit = limit }
        }
        let reply = try await self.ask(.history(ask), sourceLocation: sourceLocation)
        guard case .history(let history) = reply else { throw unexpected(reply, sourceLocation) }
        return history
    }

    func members(
        _ room: String, after: String = "", limit: UInt32 = 0, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> RelayMembers {
        let reply = try await ask(.members(.with { ($0.room, $0.after, $0.limit) = (room, after, limit) }), sourceLocation: sourceLocation)
        guard case .members(let members) = reply else { throw unexpected(reply, sourceLocation) }
        return members
    }

    func watch(_ users: [String], sourceLocation: SourceLocation = #_sourceLocation) async throws -> [RelayUserState] {
        let reply = try await ask(.watch(.with { $0.users = users }), sourceLocation: sourceLocation)
        guard case .watching(let watching) = reply else { throw unexpected(reply, sourceLocation) }
        return watching.users
    }

    func setPresence(_ status: RelayStatus, note: String? = nil, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let ask = RelayPresence.with {
            $0.status = status
            if let note { $0.note = note }
        }
        try await done(.presence(ask), sourceLocation: sourceLocation)
    }

    func setTyping(_ room: String, _ active: Bool, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await done(.typing(.with { ($0.room, $0.active) = (room, active) }), sourceLocation: sourceLocation)
    }

    func done(_ body: RelayClientFrame.OneOf_Frame, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let reply = try await ask(body, sourceLocation: sourceLocation)
        guard case .done = reply else { throw unexpected(reply, sourceLocation) }
    }

    func error(of body: RelayClientFrame.OneOf_Frame, sourceLocation: SourceLocation = #_sourceLocation) async throws -> RelayError {
        let reply = try await ask(body, sourceLocation: sourceLocation)
        guard case .error(let error) = reply else { throw unexpected(reply, sourceLocation) }
        return error
    }

    /// Everything that was sent to the relay before this has been handled by it.
    func ping(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let reply = try await ask(.ping(.init()), sourceLocation: sourceLocation)
        guard case .pong = reply else { throw unexpected(reply, sourceLocation) }
    }

    // MARK: Pushes

    /// Messages of a room so far.
    func messages(_ room: String) -> [RelayMessage] { recorder.record.frames.messages(room) }

    /// The messages of a room when the one with `key` is there.
    func messages(
        _ room: String, until key: String, within limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> [RelayMessage] {
        _ = try await wait("the message \(key) in \(room)", within: limit, sourceLocation: sourceLocation) { frames in
            frames.contains { $0.message.key == key && $0.message.room == room } ? true : nil
        }
        return messages(room)
    }

    func roomPresence(
        _ what: String, _ room: String, after mark: Int, within limit: Duration = .seconds(10),
        sourceLocation: SourceLocation = #_sourceLocation, _ holds: @escaping @Sendable (RelayRoomPresence) -> Bool
    ) async throws -> RelayRoomPresence {
        try await wait(what, after: mark, within: limit, sourceLocation: sourceLocation) { frames in
            frames.lazy.filter { $0.roomPresence.room == room }.map(\.roomPresence).first(where: holds)
        }
    }

    func userPresence(
        of watched: String, _ status: RelayStatus, devices: UInt32? = nil, after mark: Int, within limit: Duration = .seconds(10),
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> RelayUserPresence {
        try await wait("\(watched) \(status)", after: mark, within: limit, sourceLocation: sourceLocation) { frames in
            frames.lazy.map(\.userPresence).first {
                $0.user == watched && $0.status == status && (devices == nil || $0.devices == devices)
            }
        }
    }

    func typing(
        of typist: String, in room: String, active: Bool, after mark: Int, within limit: Duration = .seconds(10),
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        _ = try await wait("\(typist) typing: \(active)", after: mark, within: limit, sourceLocation: sourceLocation) { frames in
            frames.contains { $0.typing.room == room && $0.typing.user == typist && $0.typing.active == active } ? true : nil
        }
    }

    func goodbye(within limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation) async throws -> RelayGoodbye {
        try await wait("a goodbye", within: limit, sourceLocation: sourceLocation) { frames in
            for frame in frames { if case .goodbye(let goodbye) = frame.frame { return goodbye } }
            return nil
        }
    }
}

extension RelayPublish {
    static func text(_ room: String, _ text: String, key: String? = nil, durability: RelayDurability = .home) -> RelayPublish {
        .with {
            $0.room = room
            $0.text = text
            $0.durability = durability
            if let key { $0.key = key }
        }
    }
}

extension Sequence<RelayServerFrame> {
    func messages(_ room: String) -> [RelayMessage] {
        compactMap { frame in
            guard case .message(let message) = frame.frame, message.room == room else { return nil }
            return message
        }
    }
}
