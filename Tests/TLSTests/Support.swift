import Foundation
import NIOCore
import TLS

/// Certificates in a folder that ends with this object.
final class Certificates {
    let folder: String
    let authority: TLSAuthority
    /// The trust file.
    let ca: String

    init(authorityValidity: TLSValidity = .days(1)) throws {
        folder = NSTemporaryDirectory() + "heliograph-tls-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        authority = try TLSAuthority.make(name: "test authority", validity: authorityValidity)
        ca = folder + "/ca.pem"
        try authority.write(to: TLSCertificateFiles(chain: ca, key: folder + "/ca.key"))
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func files(_ name: String) -> TLSCertificateFiles { TLSCertificateFiles(chain: "\(folder)/\(name).pem", key: "\(folder)/\(name).key") }

    /// A certificate for the name, unless told otherwise.
    func issue(
        _ name: String, dns: [String]? = nil, addresses: [String] = [], uris: [String] = [],
        usage: TLSCertificateRequest.Usage = .both, validity: TLSValidity = .days(1)
    ) throws -> TLSCertificateFiles {
        let request = TLSCertificateRequest(
            name: name, dns: dns ?? [name], addresses: addresses, uris: uris, usage: usage, validity: validity)
        let files = files(name.replacing("*", with: "star"))
        try authority.issue(request).write(to: files)
        return files
    }

    func file(_ name: String, _ text: String) throws -> String {
        let path = "\(folder)/\(name)"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }
}

/// One end of a connection in memory, with what came out of it.
final class End {
    let session: TLSSession
    var plaintext = ByteBuffer()
    /// What the peer has not been handed yet.
    var output = ByteBuffer()
    var fault: TLSFault?

    init(_ session: TLSSession) { self.session = session }

    func start() {
        do throws(TLSFault) { try session.start(output: &output) } catch { fault = error }
    }

    /// - Parameter most: hands over that many bytes at a time.
    func receive(_ bytes: ByteBuffer, inPiecesOf most: Int = .max) {
        var rest = bytes
        while fault == nil, let piece = rest.readSlice(length: min(most, rest.readableBytes)), piece.readableBytes > 0 {
            do throws(TLSFault) { try session.receive(piece, plaintext: &plaintext, output: &output) } catch { fault = error }
        }
    }

    func encrypt(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try session.encrypt($0, output: &output) }
    }

    func encrypt(_ text: String) throws { try encrypt(Array(text.utf8)) }

    func takeOutput() -> ByteBuffer {
        defer { output = ByteBuffer() }
        return output
    }

    func takePlaintext() -> [UInt8] {
        defer { plaintext = ByteBuffer() }
        return Array(plaintext.readableBytesView)
    }

    func takeText() -> String { String(decoding: takePlaintext(), as: UTF8.self) }
}

/// A client and a server that hand each other their bytes.
struct Pair {
    let client: End
    let server: End

    init(_ client: TLSContext, _ server: TLSContext, name: String? = "relay.test", resuming: TLSResumption? = nil) {
        self.client = End(TLSSession(client, serverName: name, resuming: resuming))
        self.server = End(TLSSession(server))
    }

    /// Until neither has anything to say.
    func exchange(inPiecesOf most: Int = .max) {
        while client.output.readableBytes + server.output.readableBytes > 0 {
            server.receive(client.takeOutput(), inPiecesOf: most)
            client.receive(server.takeOutput(), inPiecesOf: most)
        }
    }

    @discardableResult
    func shake(inPiecesOf most: Int = .max) -> Pair {
        client.start()
        server.start()
        exchange(inPiecesOf: most)
        return self
    }

    var isUp: Bool { client.session.handshake != nil && server.session.handshake != nil && client.fault == nil && server.fault == nil }
}
