import HTTP2
import NIOCore

/// What a stream has still to send, in the order of the writes: what HTTP/2's windows hold back waits here.
final class StreamOutbox: HTTP2Body {
    private var writes = CircularBuffer<(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)>()
    private var finished: [EventLoopPromise<Void>] = []
    private(set) var readableBytes = 0
    /// Nothing follows what waits.
    var isEnded = false

    var end: HTTP2BodyEnd? { isEnded ? .endStream : nil }

    /// - Parameter promise: kept until `takeFinished` or `failAll`.
    func append(_ bytes: ByteBuffer, promise: EventLoopPromise<Void>?) {
        writes.append((bytes, promise))
        readableBytes += bytes.readableBytes
    }

    func take(_ count: Int, into buffer: inout ByteBuffer) {
        readableBytes -= count
        var rest = count
        while rest > 0, var write = writes.popFirst() {
            if var slice = write.bytes.readSlice(length: min(rest, write.bytes.readableBytes)) { rest -= buffer.writeBuffer(&slice) }
            if write.bytes.readableBytes > 0 {
                writes.prepend(write)
            } else if let promise = write.promise {
                finished.append(promise)
            }
        }
    }

    /// The promises of the writes that have been taken whole. Not kept while the session asks for bytes: they call who knows whom.
    func takeFinished() -> [EventLoopPromise<Void>] {
        defer { finished = [] }
        return finished
    }

    func failAll(_ error: any Error) {
        let promises = takeFinished() + writes.compactMap(\.promise)
        writes = []
        readableBytes = 0
        for promise in promises { promise.fail(error) }
    }
}
