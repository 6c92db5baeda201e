import Membership
import MeshCore
import NIOCore
import NIOPosix

/// Keeps dialling the peers that this node is to dial, one attempt at a time for each.
final class LinkDialer {
    private enum Attempt {
        /// Connecting, in its handshake, or up.
        case underWay(LinkNumber)
        case waiting(Scheduled<Void>)
    }

    private struct Target {
        var address: LinkAddress
        var redial: LinkRedial
        var attempt: Attempt?
    }

    private unowned let owner: MeshLinks
    private var targets: [NodeID: Target] = [:]
    private var random = SystemRandomNumberGenerator()

    init(owner: MeshLinks) { self.owner = owner }

    func setTargets(_ wanted: [NodeID: LinkAddress]) {
        for (node, target) in targets where wanted[node] == nil {
            cancelWait(target)
            targets[node] = nil
        }
        for (node, address) in wanted { setTarget(node, address) }
    }

    /// An attempt failed or the link that it led to has ended.
    func ended(_ number: LinkNumber, to node: NodeID, upSince: Instant?) {
        guard case .underWay(number)? = targets[node]?.attempt, var target = targets[node] else { return }
        let delay = target.redial.delay(upSince: upSince, now: owner.now(), using: &random)
        let task = owner.loop.assumeIsolated().scheduleTask(in: .nanoseconds(delay.nanoseconds)) { [weak self] in self?.dial(node) ?? () }
        target.attempt = .waiting(task)
        targets[node] = target
    }

    private func setTarget(_ node: NodeID, _ address: LinkAddress) {
        if let known = targets[node] {
            guard known.address != address else { return }
            targets[node]?.address = address
            guard case .waiting = known.attempt else { return }
            cancelWait(known)
        } else {
            let settings = owner.settings
            let redial = LinkRedial(least: settings.redialLeast, most: settings.redialMost, stableAfter: settings.stableAfter)
            targets[node] = Target(address: address, redial: redial)
        }
        dial(node)
    }

    private func cancelWait(_ target: Target) {
        if case .waiting(let task) = target.attempt { task.cancel() }
    }

    private func dial(_ node: NodeID) {
        guard let address = targets[node]?.address else { return }
        let handlers = owner.makeHandlers(role: .dialer(of: node))
        let number = handlers.link.number
        targets[node]?.attempt = .underWay(number)
        let bound = NIOLoopBound(handlers, eventLoop: owner.loop)
        ClientBootstrap(group: owner.loop)
            .connectTimeout(.nanoseconds(owner.settings.handshakeTimeout.nanoseconds))
            .channelInitializer { channel in LinkSocket.prepare(channel, bound) }
            .connect(host: address.host, port: address.port)
            .assumeIsolated()
            .whenFailure { [weak self] error in self?.dialFailed(number, node, address, error) }
    }

    private func dialFailed(_ number: LinkNumber, _ node: NodeID, _ address: LinkAddress, _ error: any Error) {
        guard case .underWay(number)? = targets[node]?.attempt else { return }
        owner.connectionFailed(to: node, address, error)
        ended(number, to: node, upSince: nil)
    }
}

/// The options of a link's socket, the same at both ends.
enum LinkSocket {
    /// `TCP_NOTSENT_LOWAT` of Linux, tcp(7): the kernel takes no more while this much of ours is not on its way, so that what
    /// is urgent waits behind little, however wide the window of a long path is.
    private static let notSentLowWaterMark = NIOBSDSocket.Option(rawValue: 25)
    private static let notSentBytesMax: ChannelOptions.Types.SocketOption.Value = 128 << 10

    static func prepare(_ channel: any Channel, _ handlers: NIOLoopBound<LinkHandlers>) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            let options = channel.syncOptions
            try options?.setOption(.socketOption(.tcp_nodelay), value: 1)
            #if os(Linux)
                try options?.setOption(ChannelOptions.Types.SocketOption(level: .tcp, name: notSentLowWaterMark), value: notSentBytesMax)
            #endif
            if let encryption = handlers.value.encryption { try channel.pipeline.syncOperations.addHandler(encryption) }
            try channel.pipeline.syncOperations.addHandler(handlers.value.link)
        }
    }
}
