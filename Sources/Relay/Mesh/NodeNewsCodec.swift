import Foundation
import MeshCore
import NIOCore
import NIOFoundationCompat
import SwiftProtobuf
import Transport
import View
import Wire

/// What nodes tell each other about themselves and their regions, over the control lane.
struct NodeNews: Sendable {
    var rosters: [Roster]
    var owner: NodeBoot
    var figures: PeerFigures
    /// By region, the highest epoch of its store that the sender has ever heard of.
    var storeEpochs: [RegionID: UInt64]

    func frame() -> ByteBuffer {
        let message = MeshNodeNews.with {
            $0.rosters = rosters.map { roster in
                .with {
                    $0.region = roster.region.name
                    $0.version = roster.version
                    $0.nodes = roster.nodes.map(\.name)
                }
            }
            $0.figures = .with {
                $0.owner = TreeCodec.owner(owner)
                $0.sessions = UInt32(clamping: figures.sessions)
                $0.rooms = UInt32(clamping: figures.rooms)
                $0.draining = figures.draining
                $0.ready = figures.ready
            }
            $0.storeEpochs = Dictionary(uniqueKeysWithValues: storeEpochs.map { ($0.key.name, $0.value) })
        }
        var frame = ByteBuffer()
        guard let bytes: [UInt8] = try? message.serializedBytes() else { return frame }
        MeshFraming.append(.control, to: &frame) { $0.writeBytes(bytes) }
        return frame
    }

    /// Nil for bytes that are no news.
    init?(_ payload: ByteBuffer) {
        guard let message = try? MeshNodeNews(serializedBytes: Data(buffer: payload)) else { return nil }
        rosters = message.rosters.map { roster in
            let region = RegionID(roster.region)
            return Roster(region: region, version: roster.version, nodes: roster.nodes.map { NodeID(region: region, name: $0) })
        }
        owner = TreeCodec.owner(message.figures.owner)
        figures = PeerFigures(
            boot: message.figures.owner.boot, sessions: Int(message.figures.sessions), rooms: Int(message.figures.rooms),
            draining: message.figures.draining, ready: message.figures.ready)
        storeEpochs = Dictionary(message.storeEpochs.map { (RegionID($0.key), $0.value) }, uniquingKeysWith: max)
    }

    init(rosters: [Roster], owner: NodeBoot, figures: PeerFigures, storeEpochs: [RegionID: UInt64]) {
        self.rosters = rosters
        self.owner = owner
        self.figures = figures
        self.storeEpochs = storeEpochs
    }
}
