import Membership
import MeshCore
import NIOCore
import SwiftProtobuf
import Wire

/// A frame of the link's own lane, between bytes and the values that `Membership` decides with.
enum LinkMessage: Hashable {
    case hello(LinkHello)
    case ping(seq: UInt64)
    case pong(seq: UInt64)
    case refuse(String)

    /// Mesh, region and node names are at most this long; a longer one is garbage.
    static let nameBytesMax = 255
    static let reasonBytesMax = 1024

    struct Malformed: Error {
        let what: String
    }

    init(decoding payload: ByteBuffer) throws(Malformed) {
        let frame: MeshLinkFrame
        do {
            frame = try MeshLinkFrame(serializedBytes: Array(payload.readableBytesView))
        } catch {
            throw Malformed(what: "a link frame that is not protobuf")
        }
        switch frame.body {
        case .hello(let hello): self = .hello(try Self.read(hello))
        case .ping(let ping): self = .ping(seq: ping.seq)
        case .pong(let pong): self = .pong(seq: pong.seq)
        case .refuse(let refuse): self = .refuse(String(decoding: refuse.reason.utf8.prefix(Self.reasonBytesMax), as: UTF8.self))
        case nil: throw Malformed(what: "a link frame without a body")
        }
    }

    /// Appends the message as one frame of the link's own lane.
    func append(to buffer: inout ByteBuffer) {
        MeshFraming.append(MeshFraming.internalLane, to: &buffer) { buffer in
            // Only a missing required field or an over-long message can fail, and proto3 with bounded names has neither.
            guard let bytes: [UInt8] = try? frame.serializedBytes() else { return }
            buffer.writeBytes(bytes)
        }
    }

    private var frame: MeshLinkFrame {
        var frame = MeshLinkFrame()
        switch self {
        case .hello(let hello): frame.hello = Self.write(hello)
        case .ping(let seq): frame.ping.seq = seq
        case .pong(let seq): frame.pong.seq = seq
        case .refuse(let reason): frame.refuse.reason = reason
        }
        return frame
    }

    private static func read(_ hello: MeshLinkFrame.Hello) throws(Malformed) -> LinkHello {
        let names = [hello.mesh, hello.region, hello.node]
        guard names.allSatisfy({ !$0.isEmpty && $0.utf8.count <= nameBytesMax }) else { throw Malformed(what: "a name in a hello") }
        guard max(hello.expectedRegion.utf8.count, hello.expectedNode.utf8.count) <= nameBytesMax else {
            throw Malformed(what: "an expected name in a hello")
        }
        let node = NodeID(region: RegionID(hello.region), name: hello.node)
        let identity = LinkIdentity(mesh: hello.mesh, version: hello.version, owner: NodeBoot(node: node, boot: hello.boot))
        let expected = NodeID(region: RegionID(hello.expectedRegion), name: hello.expectedNode)
        return LinkHello(identity: identity, expected: hello.expectedNode.isEmpty ? nil : expected)
    }

    private static func write(_ hello: LinkHello) -> MeshLinkFrame.Hello {
        var message = MeshLinkFrame.Hello()
        message.mesh = hello.identity.mesh
        message.version = hello.identity.version
        message.region = hello.identity.owner.node.region.name
        message.node = hello.identity.owner.node.name
        message.boot = hello.identity.owner.boot
        message.expectedRegion = hello.expected?.region.name ?? ""
        message.expectedNode = hello.expected?.name ?? ""
        return message
    }
}
