/// A reader of bytes that come from outside, fed with anything. Each takes an input and traps if one of its invariants is broken;
/// the fuzzer looks for such inputs, and the tests replay what it has found.
public enum FuzzTarget: String, CaseIterable, Sendable {
    case clientFrames = "client-frames"
    case deflateNegotiation = "deflate-negotiation"
    case deflateStreams = "deflate-streams"
    case handshakeHeads = "handshake-heads"
    case meshFrames = "mesh-frames"
    case serverFrames = "server-frames"
    case storeReplies = "store-replies"
    case webSocketFrames = "websocket-frames"

    public func run(_ bytes: UnsafeRawBufferPointer) {
        let input = FuzzInput(bytes)
        switch self {
        case .clientFrames: ClientFramesTarget.run(input)
        case .deflateNegotiation: DeflateNegotiationTarget.run(input)
        case .deflateStreams: DeflateStreamsTarget.run(input)
        case .handshakeHeads: HandshakeHeadsTarget.run(input)
        case .meshFrames: MeshFramesTarget.run(input)
        case .serverFrames: ServerFramesTarget.run(input)
        case .storeReplies: StoreRepliesTarget.run(input)
        case .webSocketFrames: WebSocketFramesTarget.run(input)
        }
    }
}
