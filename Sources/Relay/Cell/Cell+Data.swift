import MeshCore
import NIOCore
import Session
import Store
import View
import Wire

/// Deletion and export, as far as a cell does it for its node.
extension Cell {
    /// Asks one node. Answers exactly once, later in this tick or in another one.
    func ask(_ node: NodeID, _ ask: NodeRequest.Ask, deadline: TimeSpan, _ completion: @escaping RequestTable.Completion) {
        guard let id = requests.add(deadline: Clock.now() + deadline, completion) else {
            drops.count(.requestTableFull)
            let refusal = Refusal(.exhausted, "too many requests are under way on this node", retryAfterMs: 1000)
            return loop.assumeIsolated().execute { completion(.refused(refusal)) }
        }
        post(.nodeRequest(NodeRequest(origin: context.owner, id: id, hops: 0, node: node, ask: ask)), to: index)
    }

    /// Does it here, or passes it on towards the node that it is for.
    func route(_ request: NodeRequest) {
        guard request.node != context.node else { return serve(request) }
        guard request.hops < Self.hopsMax, let next = topology.nextHop(from: context.node, to: request.node), isLinked(to: next) else {
            drops.count(.noRoute)
            return answer(request, .refused(Refusal(.unreachable, "no way to \(request.node) now", retryAfterMs: 1000)))
        }
        var onward = request
        onward.hops += 1
        send(DataCodec.frame(onward), to: next)
    }

    private func serve(_ request: NodeRequest) {
        switch request.ask {
        case .deleteCopy(let room, let ofUser): deleteCopy(of: room, ofUser: ofUser, request)
        case .endSessions(let user):
            for cell in ports.indices { post(.endSessions(user: user), to: cell) }
            answer(request, .data(.done))
        }
    }

    private func deleteCopy(of room: String, ofUser: Bool, _ request: NodeRequest) {
        let user = ofUser ? NameRules.owner(ofInbox: room) : nil
        let deleted = user.map { store.deleteUser($0) } ?? store.deleteRoom(room)
        deleted.assumeIsolated().whenComplete { [self] result in
            switch result {
            case .success(let position): answer(request, .data(.deleted(upTo: position)))
            case .failure:
                drops.count(.storeUnavailable)
                answer(request, .refused(Refusal(.unavailable, "the region's store is not available", retryAfterMs: 1000)))
            }
        }
    }

    private func answer(_ request: NodeRequest, _ answer: RootResponse.Answer) {
        pass(RootResponse(origin: request.origin, id: request.id, hops: 0, answer: answer))
    }

    /// All of the user's sessions on this cell, and what its levels of rooms know of her receipts: they would say it again.
    func endSessions(of user: String) {
        for session in Array(sessions.values) where session.user == user { session.endDeleted() }
        for session in lingering.end(user) { hide(session) }
        for hub in hubs.values { hub.forgetReceipts(of: user) }
        for leaf in leaves.values { leaf.receipts.forget(user) }
    }

    /// The room was deleted: nobody is subscribed to it any more.
    func endSubscriptions(to room: String) {
        for session in Array(sessions.values) { session.roomDeleted(room) }
    }
}
