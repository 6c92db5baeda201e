import Logging
import Membership
import MeshCore
import NIOCore
import NIOPosix

/// The links of one node: listens, dials, and keeps at most one link to each peer. Lives on one event loop; everything but
/// `init` must be called there.
public final class MeshLinks {
    public let identity: LinkIdentity
    public let listen: LinkAddress
    public let loop: any EventLoop
    public let settings: LinkSettings
    /// Nil for links in the clear.
    let encryption: LinkEncryption?
    public weak var delegate: (any MeshLinksDelegate)?

    /// The links that are up.
    public private(set) var links: [NodeID: MeshLink] = [:]
    /// Links and attempts that ended for a reason that somebody is to blame for.
    public private(set) var drops = DropLedger()
    /// All ends of links and of attempts at one, by `LinkEnd.label`.
    public private(set) var ends: [String: UInt64] = [:]

    private let logger: Logger
    private var table = LinkTable()
    private var connections: [LinkNumber: MeshLinkHandler] = [:]
    /// Accepted connections that are not, or no longer, links.
    private var guests: Set<LinkNumber> = []
    private var lastNumber: LinkNumber = 0
    private var listener: (any Channel)?
    private var isStopped = false
    private lazy var dialer = LinkDialer(owner: self)

    public init(
        identity: LinkIdentity, listen: LinkAddress, loop: any EventLoop, settings: LinkSettings, encryption: LinkEncryption? = nil,
        logger: Logger, delegate: (any MeshLinksDelegate)?
    ) {
        self.identity = identity
        self.listen = listen
        self.loop = loop
        self.settings = settings
        self.encryption = encryption
        self.logger = logger
        self.delegate = delegate
    }

    /// The port that is listened on, which differs from `listen.port` when that is 0. Nil before `start` has completed.
    public var port: Int? { listener?.localAddress?.port }

    /// Listens. Fails with the error of the bind.
    public func start() -> EventLoopFuture<Void> {
        loop.preconditionInEventLoop()
        let bound = NIOLoopBound(self, eventLoop: loop)
        return ServerBootstrap(group: loop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                let links = bound.value
                return LinkSocket.prepare(channel, NIOLoopBound(links.makeHandlers(role: .acceptor), eventLoop: links.loop))
            }
            .bind(host: listen.host, port: listen.port)
            .assumeIsolated()
            .map { self.listener = $0 }
            .nonisolated()
    }

    /// All nodes that this one may be linked to. Of a pair the smaller `NodeID` dials. A link to a node that is not on the
    /// list any more is closed. This node itself may be on it.
    public func setPeers(_ peers: [NodeID: LinkAddress]) {
        loop.preconditionInEventLoop()
        guard !isStopped else { return }
        let own = identity.owner.node
        for number in table.setPeers(peers.keys.filter { $0 != own }) {
            connections[number]?.end(.peerRemoved, gently: true)
        }
        dialer.setTargets(peers.filter { LinkRole.dials(own, to: $0.key) })
    }

    /// Stops listening and dialling and ends all links; what was sent on them before still leaves, within
    /// `LinkSettings.lingerMost`. Completes when everything is closed. Idempotent.
    public func close() -> EventLoopFuture<Void> {
        loop.preconditionInEventLoop()
        isStopped = true
        dialer.setTargets([:])
        var closed = connections.values.compactMap(\.closeFuture)
        for connection in Array(connections.values) { connection.end(.shutdown, gently: true) }
        if let listener {
            listener.close(promise: nil)
            closed.append(listener.closeFuture)
        }
        return EventLoopFuture.andAllComplete(closed, on: loop)
    }

    // MARK: For the connections

    func now() -> Instant { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }

    func makeHandlers(role: LinkRole) -> LinkHandlers {
        lastNumber += 1
        let link = MeshLinkHandler(number: lastNumber, role: role, owner: self)
        return LinkHandlers(encryption: encryption?.makeHandler(role: role, timeout: settings.handshakeTimeout), link: link)
    }

    /// Why the connection must be closed again at once, or nil.
    func connectionOpened(_ connection: MeshLinkHandler) -> LinkEnd? {
        connections[connection.number] = connection
        if isStopped { return .shutdown }
        switch connection.role {
        case .dialer(let peer):
            return table.peers.contains(peer) ? nil : .peerRemoved
        case .acceptor:
            guard guests.count < settings.handshakesMax else { return .tooManyHandshakes(settings.handshakesMax) }
            guests.insert(connection.number)
            return nil
        }
    }

    /// Decides on a peer whose hello was in order, and ends the link that the new one replaces.
    func admit(_ peer: NodeBoot, on connection: MeshLinkHandler) -> LinkRefusal? {
        switch table.admit(peer, as: connection.number) {
        case .refused(let refusal):
            return refusal
        case .admitted(let replaced):
            guests.remove(connection.number)
            if let replaced { connections[replaced]?.end(.replaced, gently: false) }
            return nil
        }
    }

    func connectionUp(_ link: MeshLink, role: LinkRole) {
        links[link.peer.node] = link
        log("a mesh link is up", level: .info, peer: link.peer.node, ["boot": "\(link.peer.boot)", "dialled": "\(role != .acceptor)"])
        delegate?.linkUp(link)
    }

    func connectionFailed(to peer: NodeID, _ address: LinkAddress, _ error: any Error) {
        ends[LinkEnd.unreachable.label, default: 0] += 1
        log("a mesh peer cannot be reached", level: .debug, peer: peer, ["address": "\(address)", "error": "\(error)"])
    }

    func connectionEnded(_ connection: MeshLinkHandler, link: MeshLink?, reason: LinkEnd) {
        ends[reason.label, default: 0] += 1
        if let drop = reason.dropReason { drops.count(drop) }
        logEnd(of: connection, link: link, reason: reason)
        if let link {
            table.ended(connection.number, to: link.peer.node)
            if links[link.peer.node] === link { links[link.peer.node] = nil }
            delegate?.linkDown(link, reason: reason.description)
        }
        if case .dialer(let peer) = connection.role {
            dialer.ended(connection.number, to: peer, upSince: connection.upSince)
        }
    }

    func connectionClosed(_ connection: MeshLinkHandler) {
        connections[connection.number] = nil
        guests.remove(connection.number)
    }

    // MARK: The log

    private func log(_ message: Logger.Message, level: Logger.Level, peer: NodeID?, _ metadata: Logger.Metadata) {
        var metadata = metadata
        if let peer { metadata["peer"] = "\(peer)" }
        logger.log(level: level, message, metadata: metadata)
    }

    private func logEnd(of connection: MeshLinkHandler, link: MeshLink?, reason: LinkEnd) {
        let metadata: Logger.Metadata = ["reason": "\(reason)", "end": "\(reason.label)"]
        if let link {
            log("a mesh link is down", level: reason == .shutdown ? .info : .warning, peer: link.peer.node, metadata)
        } else if case .dialer(let peer) = connection.role {
            log("a mesh peer could not be linked", level: .warning, peer: peer, metadata)
        } else {
            log("a mesh connection was not accepted", level: .warning, peer: nil, metadata)
        }
    }
}
