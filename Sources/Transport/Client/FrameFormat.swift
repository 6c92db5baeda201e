import Wire

/// How a session's frames are put on its transport. Sessions of one format can be sent the same bytes, which is what fan-out shares.
public struct FrameFormat: Hashable, Sendable {
    public enum Framing: Hashable, Sendable {
        /// In WebSocket frames, several of ours in one of them; compressed with a window of so many bits, or not.
        case webSocket(windowBits: Int?)
        /// As they are, one after the other, on an HTTP/2 stream.
        case stream
    }

    public var encoding: FrameEncoding
    public var framing: Framing

    public init(_ encoding: FrameEncoding, _ framing: Framing) {
        self.encoding = encoding
        self.framing = framing
    }
}
