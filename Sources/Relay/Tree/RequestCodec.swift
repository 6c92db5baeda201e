import Foundation
import MeshCore
import NIOCore
import NIOFoundationCompat
import Push
import SwiftProtobuf
import Wire

/// Turns what is asked of a root, and its answers, into mesh frames and back.
enum RequestCodec {
    static func frame(_ room: String, _ request: RootRequest) -> MeshTreeFrame {
        var frame = MeshTreeFrame()
        frame.room = room
        frame.request = .with {
            $0.origin = TreeCodec.owner(request.origin)
            $0.id = request.id
            $0.hops = UInt32(request.hops)
            $0.ask = ask(request.ask)
        }
        return frame
    }

    static func request(_ request: MeshRootRequest) -> RootRequest? {
        guard let ask = request.ask.flatMap(ask) else { return nil }
        return RootRequest(origin: TreeCodec.owner(request.origin), id: request.id, hops: Int(request.hops), ask: ask)
    }

    static func frame(_ room: String, _ response: RootResponse) -> MeshTreeFrame {
        var frame = MeshTreeFrame()
        frame.room = room
        frame.response = .with {
            $0.origin = TreeCodec.owner(response.origin)
            $0.id = response.id
            $0.hops = UInt32(response.hops)
            $0.answer = answer(response.answer)
        }
        return frame
    }

    static func response(_ response: MeshRootResponse) -> RootResponse? {
        guard let answer = response.answer.flatMap(answer) else { return nil }
        return RootResponse(origin: TreeCodec.owner(response.origin), id: response.id, hops: Int(response.hops), answer: answer)
    }

    // MARK: Asks

    private static func ask(_ ask: RootRequest.Ask) -> MeshRootRequest.OneOf_Ask {
        switch ask {
        case .publish(let publish):
            .publish(
                .with {
                    $0.session = publish.session
                    $0.number = publish.number
                    $0.base = publish.base
                    $0.user = publish.publication.user
                    $0.key = publish.publication.key
                    $0.durability = UInt32(publish.publication.durability.rawValue)
                    $0.message = Data(buffer: publish.publication.body)
                })
        case .history(let history):
            .history(
                .with {
                    if let after = history.after { $0.after = TreeCodec.place(after) }
                    if let before = history.before { $0.before = TreeCodec.place(before) }
                    $0.limit = UInt32(history.limit)
                    $0.newest = history.newest
                })
        case .replay(let start): .replay(ReplayCodec.ask(start))
        case .members(let after, let limit):
            .members(
                .with {
                    $0.after = after
                    $0.limit = UInt32(limit)
                })
        case .describe: .describe(.init())
        case .data(let ask): .data(DataCodec.ask(ask))
        case .unread(let user): .unread(.with { $0.user = user })
        case .directReceipt(let receipt): .directReceipt(ReceiptCodec.direct(receipt))
        case .pushDevice(let ask):
            .pushDevice(
                .with {
                    $0.device = ask.device
                    $0.service = ask.registration?.service.rawValue ?? ""
                    $0.token = ask.registration?.token ?? ""
                })
        }
    }

    private static func ask(_ ask: MeshRootRequest.OneOf_Ask) -> RootRequest.Ask? {
        switch ask {
        case .publish(let publish):
            guard let durability = RelayDurability(rawValue: Int(publish.durability)) else { return nil }
            let publication = Publication(
                user: publish.user, key: publish.key, durability: durability, body: ByteBuffer(data: publish.message))
            return .publish(
                PublishAsk(session: publish.session, number: publish.number, base: publish.base, publication: publication))
        case .history(let history):
            return .history(
                HistoryAsk(
                    after: history.hasAfter ? TreeCodec.position(history.after) : nil,
                    before: history.hasBefore ? TreeCodec.position(history.before) : nil, limit: Int(history.limit),
                    newest: history.newest))
        case .replay(let replay): return ReplayCodec.start(replay).map { .replay($0) }
        case .members(let members): return .members(after: members.after, limit: Int(members.limit))
        case .describe: return .describe
        case .data(let ask): return DataCodec.ask(ask).map { .data($0) }
        case .unread(let unread): return .unread(user: unread.user)
        case .directReceipt(let receipt): return .directReceipt(ReceiptCodec.direct(receipt))
        case .pushDevice(let ask):
            guard !ask.token.isEmpty else { return .pushDevice(PushDeviceAsk(device: ask.device)) }
            guard let service = PushService(rawValue: ask.service) else { return nil }
            return .pushDevice(PushDeviceAsk(device: ask.device, registration: .init(service: service, token: ask.token)))
        }
    }

    // MARK: Answers

    private static func answer(_ answer: RootResponse.Answer) -> MeshRootResponse.OneOf_Answer {
        switch answer {
        case .published(let position, let at, let duplicate):
            .published(
                .with {
                    if let position { $0.position = TreeCodec.place(position) }
                    $0.at = at
                    $0.duplicate = duplicate
                })
        case .history(let messages, let more):
            .history(
                .with {
                    $0.messages = messages.map(TreeCodec.delivered)
                    $0.more = more
                })
        case .replayed(let page): .replayed(ReplayCodec.answer(page))
        case .members(let members, let count, let next):
            .members(
                .with {
                    $0.members = members.map(TreeCodec.member)
                    $0.count = UInt32(count)
                    $0.next = next
                })
        case .description(let description): .description_p(descriptionFrame(description))
        case .data(let answer): .data(DataCodec.answer(answer))
        case .unread(let unread): .unread(ReceiptCodec.unread(unread))
        case .done: .done(.init())
        case .refused(let refusal): .refusal(refusalFrame(refusal))
        }
    }

    private static func answer(_ answer: MeshRootResponse.OneOf_Answer) -> RootResponse.Answer? {
        switch answer {
        case .published(let published):
            .published(
                position: published.hasPosition ? TreeCodec.position(published.position) : nil, at: published.at,
                duplicate: published.duplicate)
        case .history(let history): .history(history.messages.map(TreeCodec.roomMessage), more: history.more)
        case .replayed(let replayed): .replayed(ReplayCodec.page(replayed))
        case .members(let members):
            .members(members.members.map(TreeCodec.member), count: Int(members.count), next: members.next)
        case .description_p(let description): .description(self.description(description))
        case .data(let answer): DataCodec.answer(answer).map { .data($0) }
        case .unread(let unread): .unread(ReceiptCodec.unread(unread))
        case .done: .done
        case .refusal(let refusal): self.refusal(refusal).map { .refused($0) }
        }
    }

    private static func descriptionFrame(_ description: RoomDescription) -> MeshDescribeAnswer {
        .with {
            $0.head = TreeCodec.place(description.head)
            $0.members = UInt32(description.members)
            $0.logState = description.logState
            $0.sessions = description.sessions.sorted { $0.key < $1.key }.map { region, count in
                .with {
                    $0.region = region.name
                    $0.count = UInt32(count)
                }
            }
        }
    }

    private static func description(_ answer: MeshDescribeAnswer) -> RoomDescription {
        var sessions: [RegionID: Int] = [:]
        for count in answer.sessions { sessions[RegionID(count.region)] = Int(count.count) }
        return RoomDescription(
            head: TreeCodec.position(answer.head), members: Int(answer.members), sessions: sessions, logState: answer.logState)
    }

    private static func refusalFrame(_ refusal: Refusal) -> MeshRefusal {
        .with {
            switch refusal.reason {
            case .unavailable: $0.reason = .unavailable
            case .notRoot: $0.reason = .notRoot
            case .outOfSequence: $0.reason = .outOfSequence
            case .exhausted: $0.reason = .resourceExhausted
            case .unimplemented: $0.reason = .unimplemented
            case .unreachable, .unanswered: $0.reason = .unreachable
            }
            $0.message = refusal.message
            $0.retryAfterMs = UInt32(refusal.retryAfterMs)
        }
    }

    private static func refusal(_ refusal: MeshRefusal) -> Refusal? {
        let reason: Refusal.Reason
        switch refusal.reason {
        case .unavailable: reason = .unavailable
        case .notRoot: reason = .notRoot
        case .outOfSequence: reason = .outOfSequence
        case .resourceExhausted: reason = .exhausted
        case .unimplemented: reason = .unimplemented
        case .unreachable: reason = .unreachable
        case .UNRECOGNIZED: return nil
        }
        return Refusal(reason, refusal.message, retryAfterMs: Int(refusal.retryAfterMs))
    }
}
