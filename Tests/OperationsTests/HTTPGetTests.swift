import MeshCore
import NIOCore
import NIOPosix
import Testing

@testable import HeliographClient

@Suite("HTTP GET", .timeLimit(.minutes(1)))
struct HTTPGetTests {
    /// A server that answers every connection with these bytes and closes, or never answers.
    private func server(_ answer: String?) async throws -> (any Channel, String) {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                if let answer {
                    channel.writeAndFlush(ByteBuffer(string: answer)).whenComplete { _ in channel.close(promise: nil) }
                }
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(channel.localAddress?.port)
        return (channel, "http://127.0.0.1:\(port)")
    }

    private func fault(
        _ url: String, trustFile: String? = nil, timeout: TimeSpan = .seconds(10), bodyBytesMax: Int = 100
    ) async -> HTTPGetError? {
        do {
            _ = try await HTTPGet.fetch(url, tls: ClientTLSOptions(trustFile: trustFile), timeout: timeout, bodyBytesMax: bodyBytesMax)
            return nil
        } catch {
            return error as? HTTPGetError
        }
    }

    @Test(
        "what is not a URL of ours is refused before anything is sent",
        arguments: [
            "", "127.0.0.1:1", "ftp://h/", "https://", "http://", "http://:80/", "http://h:0/", "http://h:x/", "http://h:99999",
            "http://a b/",
            "http://u@h/", "http://::1/", "http://h/\u{e9}",
        ])
    func badURL(_ url: String) async {
        #expect(await fault(url) == .badURL(url))
    }

    @Test("the ports of the two schemes, and what is encrypted")
    func schemes() throws {
        #expect(try HTTPTarget("http://h/a").port == 80)
        #expect(try HTTPTarget("HTTPS://h/a").port == 443)
        #expect(try HTTPTarget("https://h:8443").isEncrypted == true)
        #expect(try HTTPTarget("http://h:443").isEncrypted == false)
    }

    @Test("authorities that cannot be read")
    func cannotTrust() async {
        #expect(await fault("https://127.0.0.1:1/", trustFile: "/nowhere.pem") == .cannotTrust("/nowhere.pem: No such file or directory"))
    }

    @Test("a port where nobody listens")
    func unreachable() async throws {
        let (channel, url) = try await server(nil)
        try await channel.close()
        #expect(await fault(url) == .unreachable(url, cause: "Connection refused"))
    }

    @Test("a server that never answers, one that stops in the middle, one that says too much, one that speaks something else")
    func badServers() async throws {
        let silent = try await server(nil)
        #expect(await fault(silent.1, timeout: .milliseconds(100)) == .timedOut(silent.1, after: .milliseconds(100)))
        let half = try await server("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf")
        let halfFault = await fault(half.1)
        #expect(halfFault != nil)
        let long = try await server("HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n" + String(repeating: "x", count: 101))
        #expect(await fault(long.1) == .bodyTooLong(long.1, bytesMax: 100))
        let other = try await server("SSH-2.0-OpenSSH_9.2\r\n")
        guard case .notHTTP = await fault(other.1) else {
            Issue.record("not seen as something else")
            return
        }
        for (channel, _) in [silent, half, long, other] { try await channel.close() }
    }
}
