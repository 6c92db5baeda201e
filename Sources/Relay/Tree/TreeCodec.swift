import Foundation
import MeshCore
import NIOCore
import NIOFoundationCompat
import Presence
import Rooms
import SwiftProtobuf
import View
import Wire

/// Turns what levels say to each other into mesh frames and back. Decoding answers nil for what a newer node may say and this one does
/// not know.
enum TreeCodec {
    static func decode(_ frame: ByteBuffer) -> MeshTreeFrame? { try? MeshTreeFrame(serializedBytes: Data(buffer: frame)) }

    // MARK: Up

    static func frame(_ room: String, _ up: TreeUp) -> MeshTreeFrame {
        var frame = MeshTreeFrame()
        frame.room = room
        switch up {
        case .join(let generation, let interest, let fence):
            frame.join = .with {
                $0.generation = generation
                $0.interest = UInt32(interest.rawValue)
                $0.viewEpoch = fence.viewEpoch
                $0.rosterVersion = fence.rosterVersion
            }
        case .leave(let generation): frame.leave = .with { $0.generation = generation }
        case .announce(let parts): frame.announcement = .with { $0.owners = parts.map(ownerSaid) }
        case .members: preconditionFailure("members of a cell are announced by the hub of its node")
        case .typing(let user, let active):
            frame.typingIntent = .with {
                $0.user = user
                $0.active = active
            }
        case .receipts(let receipts): frame.receiptsSaid = ReceiptCodec.said(receipts)
        }
        return frame
    }

    static func up(_ frame: MeshTreeFrame) -> TreeUp? {
        switch frame.frame {
        case .join(let join):
            .join(
                generation: join.generation, interest: Interest(rawValue: UInt8(truncatingIfNeeded: join.interest)),
                fence: Fence(viewEpoch: join.viewEpoch, rosterVersion: join.rosterVersion))
        case .leave(let leave): .leave(generation: leave.generation)
        case .announcement(let announcement): .announce(announcement.owners.compactMap(ownerUpdatePart))
        case .typingIntent(let intent): .typing(user: intent.user, active: intent.active)
        case .receiptsSaid(let said): .receipts(ReceiptCodec.receipts(said))
        default: nil
        }
    }

    // MARK: Down

    static func frame(_ room: String, _ down: TreeDown) -> MeshTreeFrame {
        var frame = MeshTreeFrame()
        frame.room = room
        switch down {
        case .joined(let state): frame.joined = joined(state)
        case .refused(let generation): frame.refused = .with { $0.generation = generation }
        case .delivery(let generation, let delivery): frame.delivery = deliveryFrame(generation, delivery)
        case .members(let generation, let diff): frame.membersChanged = membersChanged(generation, diff)
        case .typing(let generation, let changes):
            frame.typingUpdate = .with {
                $0.generation = generation
                $0.changes = changes.map { change in
                    .with {
                        $0.user = change.user
                        $0.active = change.active
                    }
                }
            }
        case .receipts(let generation, let update): frame.receiptsChanged = ReceiptCodec.changed(update, generation: generation)
        case .directReceipt(let generation, let receipt): frame.directReceipt = ReceiptCodec.direct(receipt, generation: generation)
        case .presenceAsked: frame.presenceAsked = .init()
        case .memberList(let generation, let list): frame.memberList = memberList(generation, list)
        case .hidden(let hidden): frame.hidden = .with { $0.hidden = hidden }
        case .head(let generation, let head):
            frame.headAnnounced = .with {
                $0.generation = generation
                $0.head = place(head)
            }
        case .deleted(let generation, let deletion): frame.deleted = DataCodec.frame(generation, deletion)
        }
        return frame
    }

    static func down(_ frame: MeshTreeFrame) -> TreeDown? {
        switch frame.frame {
        case .joined(let joined): .joined(state(joined))
        case .refused(let refused): .refused(generation: refused.generation)
        case .delivery(let delivery): .delivery(generation: delivery.generation, self.delivery(delivery))
        case .membersChanged(let changed): .members(generation: changed.generation, diff(changed))
        case .typingUpdate(let update):
            .typing(generation: update.generation, update.changes.map { .init(user: $0.user, active: $0.active) })
        case .receiptsChanged(let changed): .receipts(generation: changed.generation, ReceiptCodec.update(changed))
        case .directReceipt(let receipt): .directReceipt(generation: receipt.generation, ReceiptCodec.direct(receipt))
        case .presenceAsked: .presenceAsked
        case .memberList(let said):
            .memberList(
                generation: said.generation,
                MemberList(members: said.members.map(member), count: Int(said.count), lastSeen: said.lastSeen))
        case .hidden(let said): .hidden(said.hidden)
        case .headAnnounced(let announced): .head(generation: announced.generation, position(announced.head))
        case .deleted(let deleted): .deleted(generation: deleted.generation, DataCodec.deletion(deleted))
        default: nil
        }
    }

    // MARK: Between neighbours

    static func frame(_ mark: AnnouncementRounds.Mark) -> MeshTreeFrame {
        var frame = MeshTreeFrame()
        frame.announced = .with {
            $0.topology = mark.topology
            $0.round = mark.round.rawValue
            $0.cell = UInt32(mark.cell)
            $0.cells = UInt32(mark.cells)
        }
        return frame
    }

    static func mark(_ frame: MeshTreeFrame) -> AnnouncementRounds.Mark? {
        guard case .announced(let said) = frame.frame, let round = AnnouncementRounds.Round(rawValue: said.round) else { return nil }
        return AnnouncementRounds.Mark(topology: said.topology, round: round, cell: Int(said.cell), cells: Int(said.cells))
    }

    // MARK: Parts

    static func place(_ position: Position) -> MeshPlace {
        .with {
            $0.epoch = position.epoch
            $0.seq = position.seq
        }
    }

    static func position(_ place: MeshPlace) -> Position { Position(epoch: place.epoch, seq: place.seq) }

    static func owner(_ owner: NodeBoot) -> MeshOwner {
        .with {
            $0.region = owner.node.region.name
            $0.node = owner.node.name
            $0.boot = owner.boot
        }
    }

    static func owner(_ owner: MeshOwner) -> NodeBoot {
        NodeBoot(node: NodeID(region: RegionID(owner.region), name: owner.node), boot: owner.boot)
    }

    static func lost(_ from: Position, _ to: Position) -> MeshLostRange {
        .with {
            $0.from = place(from)
            $0.to = place(to)
        }
    }

    static func delivered(_ message: RoomMessage) -> MeshDelivered {
        .with {
            if let position = message.position { $0.position = place(position) }
            $0.message = Data(buffer: message.body)
        }
    }

    static func roomMessage(_ delivered: MeshDelivered) -> RoomMessage {
        RoomMessage(position: delivered.hasPosition ? position(delivered.position) : nil, body: ByteBuffer(data: delivered.message))
    }

    static func member(_ member: Member) -> MeshRoomMember {
        .with {
            $0.user = member.user
            $0.status = UInt32(member.status.rawValue)
            $0.note = member.note
            $0.devices = UInt32(member.devices)
        }
    }

    static func member(_ member: MeshRoomMember) -> Member {
        Member(user: member.user, status: status(member.status), note: member.note, devices: Int(member.devices))
    }

    private static func status(_ number: UInt32) -> Status { UInt8(exactly: number).flatMap(Status.init) ?? .unknown }

    private static func ownerSaid(_ part: OwnerUpdatePart) -> MeshOwnerSaid {
        .with {
            $0.owner = owner(part.update.owner)
            $0.version = part.update.version
            $0.part = UInt32(part.number)
            $0.more = part.hasMore
            switch part.update.content {
            case .snapshot(let entries):
                $0.kind = .snapshot
                $0.entries = entries.map(entry)
            case .delta(let from, let upserted, let removed):
                $0.kind = .delta
                $0.from = from
                $0.entries = upserted.map(entry)
                $0.removed = removed
            case .gone: $0.kind = .gone
            }
        }
    }

    private static func ownerUpdatePart(_ said: MeshOwnerSaid) -> OwnerUpdatePart? {
        let content: OwnerUpdate.Content
        switch said.kind {
        case .snapshot: content = .snapshot(said.entries.map(entry))
        case .delta: content = .delta(from: said.from, upserted: said.entries.map(entry), removed: said.removed)
        case .gone: content = .gone
        case .UNRECOGNIZED: return nil
        }
        let update = OwnerUpdate(owner: owner(said.owner), version: said.version, content: content)
        return OwnerUpdatePart(update, number: Int(said.part), hasMore: said.more)
    }

    static func entry(_ entry: MemberEntry) -> MeshEntry {
        .with {
            $0.session = entry.session
            $0.user = entry.user
            $0.device = entry.device
            $0.status = UInt32(entry.status.rawValue)
            $0.note = entry.note
            $0.identity = entry.identity
            $0.taken = entry.taken
        }
    }

    static func entry(_ entry: MeshEntry) -> MemberEntry {
        MemberEntry(
            session: entry.session, user: entry.user, device: entry.device, status: status(entry.status), note: entry.note,
            identity: entry.identity, taken: entry.taken)
    }

    private static func joined(_ state: RoomState) -> MeshTreeJoined {
        .with {
            $0.generation = state.generation
            if let head = state.head { $0.head = place(head) }
            if let deleted = state.deletedUpTo { $0.deletedUpTo = place(deleted) }
            $0.members = state.members.map(member)
            $0.count = UInt32(state.count)
            $0.lastSeen = state.lastSeen
            $0.typing = state.typing
            $0.settling = state.isSettling
            if let receipts = state.receipts { $0.receipts = ReceiptCodec.changed(receipts) }
        }
    }

    private static func state(_ joined: MeshTreeJoined) -> RoomState {
        RoomState(
            generation: joined.generation, head: joined.hasHead ? position(joined.head) : nil,
            deletedUpTo: joined.hasDeletedUpTo ? position(joined.deletedUpTo) : nil, members: joined.members.map(member),
            count: Int(joined.count),
            lastSeen: joined.lastSeen, typing: joined.typing,
            receipts: joined.hasReceipts ? ReceiptCodec.update(joined.receipts) : nil, isSettling: joined.settling)
    }

    private static func deliveryFrame(_ generation: UInt64, _ delivery: Delivery) -> MeshDelivery {
        .with {
            $0.generation = generation
            $0.messages = delivery.messages.map(delivered)
            if let gap = delivery.gap { $0.gap = lost(gap.from, gap.to) }
        }
    }

    private static func delivery(_ delivery: MeshDelivery) -> Delivery {
        let gap = delivery.hasGap ? Delivery.Gap(from: position(delivery.gap.from), to: position(delivery.gap.to)) : nil
        return Delivery(gap: gap, messages: delivery.messages.map(roomMessage))
    }

    private static func membersChanged(_ generation: UInt64, _ diff: MemberDiff) -> MeshMembersChanged {
        .with {
            $0.generation = generation
            $0.joined = diff.joined.map(member)
            $0.updated = diff.updated.map(member)
            $0.left = diff.left
            $0.count = UInt32(diff.count)
            $0.lastSeen = diff.lastSeen
            $0.large = diff.isLarge
        }
    }

    private static func diff(_ changed: MeshMembersChanged) -> MemberDiff {
        var diff = MemberDiff()
        diff.joined = changed.joined.map(member)
        diff.updated = changed.updated.map(member)
        diff.left = changed.left
        diff.count = Int(changed.count)
        diff.lastSeen = changed.lastSeen
        diff.isLarge = changed.large
        return diff
    }

    private static func memberList(_ generation: UInt64, _ list: MemberList) -> MeshMemberList {
        .with {
            $0.generation = generation
            $0.members = list.members.map(member)
            $0.count = UInt32(list.count)
            $0.lastSeen = list.lastSeen
        }
    }
}
