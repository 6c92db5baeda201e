import MeshCore
import SwiftProtobuf
import Wire

/// Turns what is asked and said about stored data into mesh frames and back.
enum DataCodec {
    static func ask(_ ask: DataAsk) -> MeshDataAsk {
        .with {
            switch ask {
            case .deleteRoom: $0.deleteRoom = .init()
            case .deleteUser: $0.deleteUser = .init()
            case .noteRoom(let room): $0.noteRoom = room
            case .rooms(let after, let limit):
                $0.rooms = .with {
                    $0.after = after
                    $0.limit = UInt32(limit)
                }
            case .profile: $0.profile = .init()
            case .deleteReceipts(let user): $0.deleteReceipts = user
            }
        }
    }

    static func ask(_ ask: MeshDataAsk) -> DataAsk? {
        switch ask.ask {
        case .deleteRoom: .deleteRoom
        case .deleteUser: .deleteUser
        case .noteRoom(let room): .noteRoom(room)
        case .rooms(let page): .rooms(after: page.after, limit: Int(page.limit))
        case .profile: .profile
        case .deleteReceipts(let user): .deleteReceipts(user: user)
        case nil: nil
        }
    }

    static func answer(_ answer: DataAnswer) -> MeshDataAnswer {
        .with {
            switch answer {
            case .deleted(let upTo): $0.deleted = .with { if let upTo { $0.upTo = TreeCodec.place(upTo) } }
            case .done: $0.done = .init()
            case .rooms(let rooms): $0.rooms = .with { $0.rooms = rooms }
            case .profile(let profile):
                $0.profile = .with {
                    $0.lastSeen = profile.lastSeen
                    $0.sessions = profile.sessions.map(TreeCodec.entry)
                    $0.pushDevices = profile.pushDevices.map(pushDevice)
                }
            }
        }
    }

    static func answer(_ answer: MeshDataAnswer) -> DataAnswer? {
        switch answer.answer {
        case .deleted(let deleted): .deleted(upTo: deleted.hasUpTo ? TreeCodec.position(deleted.upTo) : nil)
        case .done: .done
        case .rooms(let rooms): .rooms(rooms.rooms)
        case .profile(let profile):
            .profile(
                UserProfile(
                    lastSeen: profile.lastSeen, sessions: profile.sessions.map(TreeCodec.entry),
                    pushDevices: profile.pushDevices.map(pushDevice)))
        case nil: nil
        }
    }

    private static func pushDevice(_ device: UserProfile.PushDevice) -> MeshPushDevice {
        .with {
            $0.device = device.device
            $0.service = device.service
            $0.updatedAt = device.updatedAt
        }
    }

    private static func pushDevice(_ device: MeshPushDevice) -> UserProfile.PushDevice {
        UserProfile.PushDevice(device: device.device, service: device.service, updatedAt: device.updatedAt)
    }

    static func frame(_ generation: UInt64, _ deletion: RoomDeletion) -> MeshRoomDeleted {
        .with {
            $0.generation = generation
            $0.upTo = TreeCodec.place(deletion.upTo)
            $0.endsUser = deletion.endsUser
        }
    }

    static func deletion(_ deleted: MeshRoomDeleted) -> RoomDeletion {
        RoomDeletion(upTo: TreeCodec.position(deleted.upTo), endsUser: deleted.endsUser)
    }

    // MARK: Requests to one node

    static func frame(_ request: NodeRequest) -> MeshTreeFrame {
        var frame = MeshTreeFrame()
        frame.nodeRequest = .with {
            $0.origin = TreeCodec.owner(request.origin)
            $0.id = request.id
            $0.hops = UInt32(request.hops)
            $0.region = request.node.region.name
            $0.node = request.node.name
            switch request.ask {
            case .deleteCopy(let room, let ofUser):
                $0.deleteCopy = .with {
                    $0.room = room
                    $0.ofUser = ofUser
                }
            case .endSessions(let user): $0.endSessions = user
            }
        }
        return frame
    }

    static func request(_ request: MeshNodeRequest) -> NodeRequest? {
        let ask: NodeRequest.Ask
        switch request.ask {
        case .deleteCopy(let copy): ask = .deleteCopy(room: copy.room, ofUser: copy.ofUser)
        case .endSessions(let user): ask = .endSessions(user: user)
        case nil: return nil
        }
        return NodeRequest(
            origin: TreeCodec.owner(request.origin), id: request.id, hops: Int(request.hops),
            node: NodeID(region: RegionID(request.region), name: request.node), ask: ask)
    }
}
