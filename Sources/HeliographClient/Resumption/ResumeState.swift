public import MeshCore

/// What a session needs to go on after its process has ended: an application stores it and hands it to
/// `HeliographClient.connect(url:token:options:resume:)` when it starts again, on any relay of any region.
///
///     try JSONEncoder().encode(client.resumeState).write(to: file)
///
/// Its positions are those of the messages that the application has *handled*: it has asked `pushes` for the next one. What was still
/// waiting to be read comes again.
public struct ResumeState: Hashable, Sendable, Codable {
    public struct Room: Hashable, Sendable, Codable {
        public var room: String
        public var presence: Bool
        public var typing: Bool
        public var receipts: Bool
        private var epoch: UInt64
        private var seq: UInt64

        public init(room: String, position: Position, presence: Bool = false, typing: Bool = false, receipts: Bool = false) {
            self.room = room
            self.presence = presence
            self.typing = typing
            self.receipts = receipts
            (epoch, seq) = (position.epoch, position.seq)
        }

        /// The last message that was handled; `.zero` for the oldest that the room keeps.
        public var position: Position {
            get { Position(epoch: epoch, seq: seq) }
            set { (epoch, seq) = (newValue.epoch, newValue.seq) }
        }
    }

    /// Whoever knows it and the user's token takes the session over: as secret as a token.
    public var session: String?
    public var device: String?
    /// In the order of subscribing. A room of which the last n messages were asked for is missing until one of them was handled.
    public var rooms: [Room]

    public init(session: String? = nil, device: String? = nil, rooms: [Room] = []) {
        self.session = session
        self.device = device
        self.rooms = rooms
    }
}
