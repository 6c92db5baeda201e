import MeshCore
import NIOCore
import Rooms
import Store
import Wire

/// Reading the log for those who missed something.
extension RootRole {
    private static let pageLimits = ReplayPageLimits()

    func replay(_ start: ReplayStart, _ completion: @escaping RoomReader.Completion) {
        guard cell.storeKeeper.isUp else { return completion(.failure(Self.storeIsAway)) }
        switch start {
        case .after(let position): read(after: position, completion)
        case .last(let count) where count <= Self.pageLimits.messagesMax: read(last: count, completion)
        case .last(let count): findLast(count, completion)
        }
    }

    private typealias Found = (messages: [StoredMessage], head: Position)

    private func read(after position: Position, _ completion: @escaping RoomReader.Completion) {
        let after = position == .zero ? nil : position
        // The head first: one that is too old does no harm, one that is ahead of the messages would look like a loss.
        let head = store.head(of: room)
        let messages = retention.read(after: after, before: nil, limit: Self.pageLimits.messagesMax, newest: false)
        head.and(messages).assumeIsolated().whenComplete { [self] result in
            guard case .success((let head, let messages)) = result else { return completion(.failure(Self.storeIsAway)) }
            let found = Found(messages, head ?? .zero)
            if LogStart.isWhole(after: position, next: messages.first?.position, head: found.head) {
                return completion(.success(page(found, after: position, gaps: [])))
            }
            findGaps(after: position, found, completion)
        }
    }

    private func findGaps(after position: Position, _ found: Found, _ completion: @escaping RoomReader.Completion) {
        store.epochs(of: room).assumeIsolated().whenComplete { [self] result in
            guard case .success(let epochs) = result else { return completion(.failure(Self.storeIsAway)) }
            let gaps = LogStart.gaps(
                after: position, next: found.messages.first?.position, epochs: epochs.map(EpochSpan.init), head: found.head)
            completion(.success(page(found, after: position, gaps: gaps)))
        }
    }

    private func read(last count: Int, _ completion: @escaping RoomReader.Completion) {
        let head = store.head(of: room)
        let messages =
            count > 0 ? retention.read(after: nil, before: nil, limit: count, newest: true) : cell.loop.makeSucceededFuture([])
        head.and(messages).assumeIsolated().whenComplete { [self] result in
            guard case .success((let head, let messages)) = result else { return completion(.failure(Self.storeIsAway)) }
            let found = Found(messages, head ?? .zero)
            completion(.success(page(found, after: messages.isEmpty ? found.head : nil, gaps: [])))
        }
    }

    /// More than a page: from the place where so many are left.
    private func findLast(_ count: Int, _ completion: @escaping RoomReader.Completion) {
        store.epochs(of: room).and(store.head(of: room)).assumeIsolated().whenComplete { [self] result in
            guard case .success((let epochs, let head)) = result else { return completion(.failure(Self.storeIsAway)) }
            let after = LogStart.position(ofLast: count, epochs: epochs.map(EpochSpan.init), head: head ?? .zero)
            read(after: after) { completion($0.map(\.withoutFirstGap)) }
        }
    }

    /// - Parameter position: that the reader has seen; nil if whatever comes first is what she asked for.
    private func page(
        _ found: Found, after position: Position?, gaps: [(from: Position, to: Position)]
    ) -> ReplayPage<RoomMessage> {
        var items = gaps.map { ReplayPage<RoomMessage>.Item.gap(from: $0.from, to: $0.to) }
        var bytes = 0
        var last: Position?
        for stored in found.messages {
            bytes += stored.body.readableBytes
            guard bytes <= Self.pageLimits.bytesMax || last == nil else { break }
            if let last, !last.isFollowed(by: stored.position) {
                items.append(.gap(from: last.successor, to: stored.position.predecessor))
            }
            var body = stored.body
            MessageBody.appendPosition(stored.position, to: &body)
            items.append(.message(stored.position, RoomMessage(position: stored.position, body: body)))
            last = stored.position
        }
        // A room that keeps nothing has been read to its end.
        let end = items.map(\.end).max() ?? found.head
        // A gap may reach beyond what there is: the reader has been where this log never came to.
        let reached = min(end, max(found.head, last ?? .zero))
        return ReplayPage(items: items, recovered: gaps.isEmpty, reached: reached, head: found.head)
    }
}

extension ReplayPage {
    /// For a reader who did not say where she was: what was trimmed is nothing that she misses.
    fileprivate var withoutFirstGap: ReplayPage {
        guard case .gap? = items.first else { return self }
        return ReplayPage(items: Array(items.dropFirst()), recovered: true, reached: reached, head: head)
    }
}

extension EpochSpan {
    init(_ stored: StoredEpoch) { self.init(epoch: stored.epoch, first: stored.first, last: stored.last) }
}
