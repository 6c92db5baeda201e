/// Everything that a relay says unasked, in its order. One consumer: a second iteration sees nothing of the first's.
///
/// A push counts as handled when the next one is asked for; `HeliographClient.resumeState` speaks of handled messages.
public struct ClientPushes: AsyncSequence, Sendable {
    public typealias Failure = any Error

    let stream: AsyncThrowingStream<ClientPush, any Error>
    let onHandled: @Sendable (ClientPush) -> Void

    public func makeAsyncIterator() -> Iterator { Iterator(base: stream.makeAsyncIterator(), onHandled: onHandled) }

    public struct Iterator: AsyncIteratorProtocol {
        var base: AsyncThrowingStream<ClientPush, any Error>.Iterator
        let onHandled: @Sendable (ClientPush) -> Void
        private var last: ClientPush?

        init(base: AsyncThrowingStream<ClientPush, any Error>.Iterator, onHandled: @escaping @Sendable (ClientPush) -> Void) {
            self.base = base
            self.onHandled = onHandled
        }

        public mutating func next() async throws -> ClientPush? {
            if let last { onHandled(last) }
            last = nil
            last = try await base.next()
            return last
        }
    }
}
