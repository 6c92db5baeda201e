import NIOCore
import TLS

/// What is said and heard in a short exchange, in the clear or through TLS: no I/O of its own.
struct LoopbackSpeaker {
    private let session: TLSSession?
    private let request: [UInt8]
    private var isAsked = false
    /// The other side's words so far.
    private(set) var received: [UInt8] = []

    init(_ request: String) {
        session = nil
        self.request = Array(request.utf8)
    }

    init(_ session: TLSSession, request: String) {
        self.session = session
        self.request = Array(request.utf8)
    }

    /// What to send first. Nil when there is no going on.
    mutating func opening() -> [UInt8]? {
        guard let session else { return request }
        var output = ByteBuffer()
        do { try session.start(output: &output) } catch { return nil }
        return Array(output.readableBytesView)
    }

    /// What to send in return. Nil when there is no going on.
    mutating func heard(_ bytes: [UInt8]) -> [UInt8]? {
        guard let session else {
            received += bytes
            return []
        }
        var (plaintext, output) = (ByteBuffer(), ByteBuffer())
        do {
            try session.receive(ByteBuffer(bytes: bytes), plaintext: &plaintext, output: &output)
            if !isAsked, session.handshake != nil {
                isAsked = true
                try request.withUnsafeBytes { try session.encrypt($0, output: &output) }
            }
        } catch {
            return nil
        }
        received += plaintext.readableBytesView
        return Array(output.readableBytesView)
    }
}
