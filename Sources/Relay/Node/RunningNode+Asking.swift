import MeshCore
import NIOCore

extension RunningNode {
    /// Asks the root of a room, wherever it is.
    func ask(_ room: String, _ ask: RootRequest.Ask, within deadline: TimeSpan) async -> RootResponse.Answer {
        await answered { cell, completion in cell.ask(room, ask, deadline: deadline, completion) }
    }

    /// Asks one node.
    func ask(_ node: NodeID, _ ask: NodeRequest.Ask, within deadline: TimeSpan) async -> RootResponse.Answer {
        await answered { cell, completion in cell.ask(node, ask, deadline: deadline, completion) }
    }

    private func answered(_ body: @escaping @Sendable (Cell, @escaping RequestTable.Completion) -> Void) async -> RootResponse.Answer {
        let port = ports[0]
        let answer = try? await port.loop.flatSubmit {
            let promise = port.loop.makePromise(of: RootResponse.Answer.self)
            body(port.cell.value) { promise.succeed($0) }
            return promise.futureResult
        }.get()
        return answer ?? .refused(Refusal(.unavailable, "the node is stopping"))
    }
}
