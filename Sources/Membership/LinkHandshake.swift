import MeshCore

/// What one hello can be judged by alone: the two names, versions and directions. Whether the peer is welcome at all is
/// for the `LinkTable`.
///
/// The side that dialled speaks first and names whom it expects. The other side answers only when it accepts, so the
/// answer is the acceptance: neither side reports a link that the other is about to refuse.
public struct LinkHandshake: Hashable, Sendable {
    public let own: LinkIdentity
    public let role: LinkRole

    public init(own: LinkIdentity, role: LinkRole) {
        self.own = own
        self.role = role
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
        switch role {
        case .dialer(let expected):
            return theirs.owner.node == expected ? nil : .wrongAddress(expected: expected, found: theirs.owner.node)
        case .acceptor:
            return checkDialer(theirs.owner.node, lookedFor: hello.expected)
        }
    }

    private func checkDialer(_ dialer: NodeID, lookedFor expected: NodeID?) -> LinkRefusal? {
        let node = own.owner.node
        if let expected, expected != node { return .wrongAddress(expected: expected, found: node) }
        guard dialer != node else { return .ownName }
        return LinkRole.dials(dialer, to: node) ? nil : .wrongDirection(dialer)
    }
}
