import Logging
import NIOCore
import NIOPosix
import Transport

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Echoes WebSocket messages through the client listener of the product, so that a test suite for WebSocket servers can judge it. Prints
/// its port, and ends with its standard input: then nothing is left over of a script that was killed.
@main
struct ConformanceServer {
    /// The suite's largest message.
    private static let messageBytesMax = 16 << 20

    static func main() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let front = try await group.next().submit { [loop = group.next()] in
            NIOLoopBound<any ClientFront>(EchoFront(loop: loop), eventLoop: loop)
        }.get()
        var settings = ClientListenerSettings()
        settings.helloBytesMax = messageBytesMax
        settings.outbox.bytesMax = messageBytesMax * 4
        let listener = try await ClientListener.bind(
            host: "127.0.0.1", port: 0, group: group, fronts: [front], settings: settings, logger: Logger(label: "conformance")
        ).get()
        print(listener.port)
        fflush(nil)
        while readLine() != nil {}
    }
}
