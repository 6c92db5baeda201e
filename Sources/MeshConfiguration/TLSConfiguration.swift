import MeshCore
import TLS

/// Which of a node's listeners and links are encrypted. What is absent is in the clear.
public struct TLSConfiguration: Hashable, Sendable {
    public var client: ClientTLS?
    public var operations: OperationsTLS?
    public var mesh: MeshTLS?
    /// For a Redis at `rediss://host:port`.
    public var store: TLSClientSettings?

    public init(client: ClientTLS? = nil, operations: OperationsTLS? = nil, mesh: MeshTLS? = nil, store: TLSClientSettings? = nil) {
        self.client = client
        self.operations = operations
        self.mesh = mesh
        self.store = store
    }
}

/// The client listener.
public struct ClientTLS: Hashable, Sendable {
    /// The first is for clients that name no server that another one is for.
    public var certificates: [TLSCertificateFiles]
    /// Whether connections in the clear are taken beside encrypted ones.
    public var allowsPlaintext: Bool

    public init(certificates: [TLSCertificateFiles], allowsPlaintext: Bool = false) {
        self.certificates = certificates
        self.allowsPlaintext = allowsPlaintext
    }
}

/// The operations listener.
public struct OperationsTLS: Hashable, Sendable {
    public var certificates: [TLSCertificateFiles]

    public init(certificates: [TLSCertificateFiles]) { self.certificates = certificates }
}

/// Links between nodes: both ends prove which node they are.
public struct MeshTLS: Hashable, Sendable {
    /// Holds `NodeID.certificateName(mesh:)`, and is good for servers and clients.
    public var certificate: TLSCertificateFiles
    /// The authorities that sign the mesh's nodes.
    public var trustFile: String

    public init(certificate: TLSCertificateFiles, trustFile: String) {
        self.certificate = certificate
        self.trustFile = trustFile
    }

    /// For links that are accepted.
    public var serverSettings: TLSServerSettings { TLSServerSettings(certificates: [certificate], clientTrustFile: trustFile) }

    /// For links that are dialled. The peer's certificate is held to the node that it says it is, not to the host where it listens.
    public var clientSettings: TLSClientSettings {
        TLSClientSettings(trustFile: trustFile, certificate: certificate, verifiesName: false)
    }
}

extension NodeConfiguration {
    /// Whether links of this node leave the machine in the clear, where anybody on the way can read them or be a node.
    public var exposesMesh: Bool {
        tls.mesh == nil && mesh.regions.flatMap(\.nodes).contains { !$0.addresses.mesh.isLoopback }
    }
}

extension HostPort {
    fileprivate var isLoopback: Bool { host.hasPrefix("127.") || host == "::1" || host == "localhost" }
}
