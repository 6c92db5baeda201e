import Foundation
import MeshCore
import NIOCore
import NIOPosix

/// What one direction suffers from.
struct LaneCondition: Hashable {
    var isSilent = false
    var isReset = false
    var delay = TimeSpan.zero

    mutating func add(_ fault: LinkFault) {
        switch fault {
        case .silence: isSilent = true
        case .reset: isReset = true
        case .delay(let delay): self.delay = delay
        }
    }
}

/// The connections of one proxy and the faults that hold for all of them. Lives on one event loop.
final class ProxyCore {
    let target: Int
    let loop: any EventLoop
    private(set) var there = LaneCondition()
    private(set) var back = LaneCondition()
    private(set) var carriers: [ObjectIdentifier: Carrier] = [:]

    init(target: Int, loop: any EventLoop) {
        self.target = target
        self.loop = loop
    }

    private var isReset: Bool { there.isReset || back.isReset }
    /// A connection is made by packets in both directions.
    private var canConnect: Bool { !there.isSilent && !back.isSilent }

    func change(_ direction: LinkDirection, _ change: (inout LaneCondition) -> Void) {
        if direction != .back { change(&there) }
        if direction != .there { change(&back) }
        if isReset { return resetAll() }
        for carrier in carriers.values {
            carrier.apply(there: there, back: back)
            dialIfPossible(carrier)
        }
    }

    // MARK: Connections

    func accept(_ front: any Channel) throws {
        guard !isReset else { return ProxySocket.reset(front) }
        let carrier = Carrier(loop: loop, front: front, there: there, back: back)
        carriers[ObjectIdentifier(carrier)] = carrier
        try front.pipeline.syncOperations.addHandler(ProxyEnd(incoming: carrier.there, outgoing: carrier.back))
        forgetAtEnd(of: front, carrier)
        dialIfPossible(carrier)
    }

    /// The client may be gone while the server has not been told yet.
    private func forgetAtEnd(of channel: any Channel, _ carrier: Carrier) {
        let bound = NIOLoopBound((self, carrier), eventLoop: loop)
        channel.closeFuture.whenComplete { _ in bound.value.0.forgetIfOver(bound.value.1) }
    }

    private func forgetIfOver(_ carrier: Carrier) {
        if carrier.isOver { carriers[ObjectIdentifier(carrier)] = nil }
    }

    private func dialIfPossible(_ carrier: Carrier) {
        guard canConnect, carrier.server == nil, !carrier.isDialling else { return }
        carrier.isDialling = true
        let bound = NIOLoopBound((self, carrier), eventLoop: loop)
        ClientBootstrap(group: loop)
            .channelOption(.autoRead, value: false)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { server in
                server.eventLoop.makeCompletedFuture {
                    let carrier = bound.value.1
                    try server.pipeline.syncOperations.addHandler(ProxyEnd(incoming: carrier.back, outgoing: carrier.there))
                }
            }
            .connect(host: "127.0.0.1", port: target)
            .assumeIsolated()
            .whenComplete { bound.value.0.dialled(bound.value.1, $0) }
    }

    private func dialled(_ carrier: Carrier, _ result: Result<any Channel, any Error>) {
        carrier.isDialling = false
        switch result {
        case .success(let server):
            carrier.connected(server)
            forgetAtEnd(of: server, carrier)
            if isReset { carrier.reset() }
        case .failure:
            ProxySocket.reset(carrier.front)
            forgetIfOver(carrier)
        }
    }

    func resetAll() {
        for carrier in carriers.values { carrier.reset() }
    }
}

/// One connection: the client's end, the server's end, and a lane each way.
final class Carrier {
    let front: any Channel
    private(set) var server: (any Channel)?
    let there: ProxyLane
    let back: ProxyLane
    var isDialling = false

    init(loop: any EventLoop, front: any Channel, there: LaneCondition, back: LaneCondition) {
        self.front = front
        self.there = ProxyLane(loop: loop, there)
        self.back = ProxyLane(loop: loop, back)
        self.there.source = front
        self.back.sink = front
    }

    func connected(_ server: any Channel) {
        self.server = server
        back.source = server
        there.sink = server
        there.move()
        back.move()
    }

    var isOver: Bool { !front.isActive && !isDialling && server?.isActive != true }

    func apply(there: LaneCondition, back: LaneCondition) {
        self.there.condition = there
        self.back.condition = back
    }

    func reset() {
        ProxySocket.reset(front)
        if let server { ProxySocket.reset(server) }
    }
}

enum ProxySocket {
    /// Ends a connection with RST and not with FIN: the other side gets "connection reset by peer".
    static func reset(_ channel: any Channel) {
        if let socket = channel as? any SocketOptionProvider {
            socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in channel.close(mode: .all, promise: nil) }
        } else {
            channel.close(mode: .all, promise: nil)
        }
    }
}
