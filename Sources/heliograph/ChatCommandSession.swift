import Foundation
import HeliographClient
import MeshCore
import SwiftProtobuf
import Wire

/// One conversation between a person, or a pipe, and a room. An actor, so that keys and pushes are handled one by one and
/// each source waits while the other is served.
actor ChatSession {
    /// Lines that wait to be published; one more is refused with a word.
    private static let outgoingMax = 64
    /// Clients repeat that they type every 3 s, and what is not repeated has ended after 8.
    private static let typingRepeat = TimeSpan.seconds(3)
    private static let typingTimeToLive = TimeSpan.seconds(8)
    /// After the end of piped input: how long to wait until one's own messages have come back.
    private static let echoTimeoutMs = 1000

    private let client: HeliographClient
    private let room: String
    private let renderer: ChatRenderer
    private let terminal: ChatTerminal
    private var editor = ChatLineEditor()
    private var typists: [String: Instant] = [:]
    private var lastTyping: Instant?
    private var ownKeys: Set<String> = []
    private var outgoing = 0
    private var lastPublish: Task<Void, Never>?

    private init(client: HeliographClient, room: String, user: String, terminal: ChatTerminal) {
        self.client = client
        self.room = room
        self.terminal = terminal
        renderer = ChatRenderer(user: user, usesColour: terminal.usesColour)
    }

    /// Subscribes and talks until the input ends, the person quits, or the relay sends the user away.
    static func run(client: HeliographClient, room: String, user: String) async throws {
        let terminal = ChatTerminal()
        // In raw mode no key raises a signal; what comes from elsewhere must not leave a terminal without echo behind.
        let signals = SignalSources([SIGTERM, SIGHUP]) { number in
            terminal.restore()
            exit(128 + number)
        }
        defer {
            signals.cancel()
            terminal.restore()
        }
        let session = ChatSession(client: client, room: room, user: user, terminal: terminal)
        try await session.enter()
        let input = Task { await session.readInput() }
        let ticking = Task { await session.expireTypists() }
        defer {
            input.cancel()
            ticking.cancel()
        }
        for try await push in client.pushes { await session.received(push) }
        await session.say(session.renderer.notice("bye"))
    }

    private func enter() async throws {
        let subscribed = try await client.subscribe(room: room, presence: true, typing: true)
        terminal.enterRawMode()
        let welcome = client.welcome
        say(renderer.notice("connected to \(welcome.node) in \(welcome.region); \(room) has \(members(subscribed.memberCount))"))
        redraw()
    }

    // MARK: - Pushes

    private func received(_ push: ClientPush) {
        if case .message(let message) = push {
            ownKeys.remove(message.key)
            typists[message.from] = nil
        }
        if case .typing(let typing) = push { noteTyping(typing) }
        for line in renderer.lines(for: push, room: room) { terminal.write(line) }
        redraw()
    }

    private func noteTyping(_ typing: RelayTypingChanged) {
        guard typing.room == room, !typing.user.isEmpty, typing.user != renderer.user else { return }
        typists[typing.user] = typing.active ? now() + Self.typingTimeToLive : nil
    }

    private func expireTypists() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(1))
            let before = typists.count
            typists = typists.filter { $0.value > now() }
            if typists.count != before { redraw() }
        }
    }

    // MARK: - Input

    private func readInput() async {
        if terminal.isInteractive { await readKeys() } else { await readLines() }
        await client.close()
    }

    private func readKeys() async {
        while let bytes = await terminal.read() {
            for event in editor.feed(bytes) {
                switch event {
                case .edited: typed()
                case .submitted(let line): if await submitted(line) { return }
                case .ended: return
                }
            }
            redraw()
        }
    }

    /// Every line is a message; the next is read when it has been answered.
    private func readLines() async {
        var pending: [UInt8] = []
        while let bytes = await terminal.read() {
            pending += bytes
            while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: pending[..<end], as: UTF8.self)
                pending.removeFirst(end + 1)
                if await submitted(line) { return }
                await lastPublish?.value
            }
        }
        if !pending.isEmpty { _ = await submitted(String(decoding: pending, as: UTF8.self)) }
        await lastPublish?.value
        await awaitEchoes()
    }

    private func awaitEchoes() async {
        for _ in 0..<Self.echoTimeoutMs / 20 where !ownKeys.isEmpty { try? await Task.sleep(for: .milliseconds(20)) }
    }

    /// True if the person wants to leave.
    private func submitted(_ line: String) async -> Bool {
        let line = line.trimmingCharacters(in: .whitespacesAndNewlines)
        guard !line.isEmpty else { return false }
        lastTyping = nil
        if line.hasPrefix("/"), !line.hasPrefix("//") { return await command(line) }
        publish(line.hasPrefix("//") ? String(line.dropFirst()) : line)
        return false
    }

    /// Publishes behind what waits already, so that lines arrive in the order in which they were written.
    private func publish(_ text: String) {
        guard outgoing < Self.outgoingMax else { return say(renderer.warning("not sent, too many lines are waiting: \(text)")) }
        outgoing += 1
        let key = UUID().uuidString
        ownKeys.insert(key)
        lastPublish = Task { [lastPublish] in
            await lastPublish?.value
            await self.send(text, key)
        }
    }

    private func send(_ text: String, _ key: String) async {
        defer { outgoing -= 1 }
        do {
            _ = try await client.publish(room: room, text: text, key: key)
        } catch {
            ownKeys.remove(key)
            say(renderer.warning("not sent (\(error)): \(text)"))
        }
    }

    private func typed() {
        guard !editor.text.isEmpty, !editor.text.hasPrefix("/") else { return stopTyping() }
        if let lastTyping, now() - lastTyping < Self.typingRepeat { return }
        lastTyping = now()
        client.setTyping(room: room, active: true)
    }

    private func stopTyping() {
        guard lastTyping != nil else { return }
        lastTyping = nil
        client.setTyping(room: room, active: false)
    }

    // MARK: - Commands

    private func command(_ line: String) async -> Bool {
        let words = line.split(separator: " ", maxSplits: 2).map(String.init)
        do {
            switch words[0] {
            case "/quit", "/exit", "/q": return true
            case "/who": try await showMembers()
            case "/status": try await setStatus(words)
            case "/ping": say(renderer.notice("\(try await client.ping())"))
            default: for line in ChatRenderer.help { say(renderer.notice(line)) }
            }
        } catch {
            say(renderer.warning("\(error)"))
        }
        return false
    }

    private func showMembers() async throws {
        let page = try await client.members(room: room)
        say(renderer.notice(members(page.count)))
        for member in page.members { say(renderer.member(member)) }
        if Int(page.count) > page.members.count { say(renderer.notice("and \(Int(page.count) - page.members.count) more")) }
    }

    private func setStatus(_ words: [String]) async throws {
        let statuses: [String: RelayStatus] = ["online": .online, "away": .away, "busy": .busy, "invisible": .invisible]
        guard words.count > 1, let status = statuses[words[1].lowercased()] else {
            return say(renderer.warning("/status online, away, busy or invisible, then a note if you like"))
        }
        try await client.setPresence(status, note: words.count > 2 ? words[2] : nil)
        say(renderer.notice("you are \(words[1].lowercased())"))
    }

    // MARK: - The screen

    private func say(_ line: String) {
        terminal.write(line)
        redraw()
    }

    private func redraw() {
        terminal.draw(prompt: renderer.prompt(room: room, typists: typists.keys.sorted()), editor: editor)
    }

    private func members(_ count: UInt32) -> String { count == 1 ? "1 member" : "\(count) members" }

    private func now() -> Instant { Instant(nanoseconds: DispatchTime.now().uptimeNanoseconds) }
}
