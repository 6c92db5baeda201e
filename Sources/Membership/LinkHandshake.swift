import MeshCore

/// What one hello can be judged by alone: the two names, versions and directions, and the certificate that came before it. Whether the peer is welcome at all is
/// for the `LinkTable`.
///
/// The side that dialled speaks first and names whom it expects. The other side answers only when it accepts, so the
/// answer is the acceptance: neither side reports a link that the other is about to refuse.
public struct LinkHandshake: Hashable, Sendable {
    public let own: LinkIdentity
    public let role: LinkRole
    /// The URIs in the peer's certificate, which an authority of the mesh has signed. Nil for a link in the clear, where the
    /// hello is believed.
    public var certifiedNames: [String]?

    public init(own: LinkIdentity, role: LinkRole, certifiedNames: [String]? = nil) {
        self.own = own
        self.role = role
        self.certifiedNames = certifiedNames
    }

    /// Whether the side that dialled may speak at all: it knows whose certificate it must have seen. Nil when nothing speaks against it.
    public var refusalBeforeHello: LinkRefusal? {
        switch role {
        case .dialer(let peer): checkCertificate(of: peer)
        case .acceptor: nil
        }
    }

    /// What this side says before it has heard anything; nil for the side that waits.
    public var opening: LinkHello? {
        switch role {
        case .dialer(let peer): LinkHello(identity: own, expected: peer)
        case .acceptor: nil
        }
    }

    /// What this side says to a hello that it accepted; nil for the side that spoke first.
    public var answer: LinkHello? {
        switch role {
        case .dialer: nil
        case .acceptor: LinkHello(identity: own)
        }
    }

    /// Nil when nothing speaks against the hello.
    public func check(_ hello: LinkHello) -> LinkRefusal? {
        let theirs = hello.identity
        guard theirs.mesh == own.mesh else { return .otherMesh(theirs.mesh) }
        guard theirs.version == own.version else { return .otherVersion(theirs.version) }
        if let refusal = checkCertificate(of: theirs.owner.node) { return refusal }
        switch role {
        case .dialer(let expected):
            return theirs.owner.node == expected ? nil : .wrongAddress(expected: expected, found: theirs.owner.node)
        case .acceptor:
            return checkDialer(theirs.owner.node, lookedFor: hello.expected)
        }
    }

    private func checkCertificate(of node: NodeID) -> LinkRefusal? {
        guard let certifiedNames, !certifiedNames.contains(node.certificateName(mesh: own.mesh)) else { return nil }
        return .otherCertificate(node, certifiedNames: certifiedNames)
    }

    private func checkDialer(_ dialer: NodeID, lookedFor expected: NodeID?) -> LinkRefusal? {
        let node = own.owner.node
        if let expected, expected != node { return .wrongAddress(expected: expected, found: node) }
        guard dialer != node else { return .ownName }
        return LinkRole.dials(dialer, to: node) ? nil : .wrongDirection(dialer)
    }
}
