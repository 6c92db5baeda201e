import MeshCore
import NIOCore

/// POSTs over HTTP/2 (RFC 9113): as many at once as the server takes, on one connection that is kept, and made anew when it is gone.
final class HTTP2Client: HTTPClient {
    private let place: HTTPPlace
    private let kept: NIOLoopBoundBox<HTTP2Exchanges?>

    init(_ place: HTTPPlace) {
        self.place = place
        kept = .makeBoxSendingValue(nil, eventLoop: place.loop)
    }

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        try await place.loop.flatSubmit { [self] in
            let promise = place.loop.makePromise(of: HTTPResponse.self)
            exchanges().start(request, promise)
            return promise.futureResult
        }.get()
    }

    private func exchanges() -> HTTP2Exchanges {
        if let exchanges = kept.value, exchanges.isOpen { return exchanges }
        let exchanges = HTTP2Exchanges(place)
        kept.value = exchanges
        let bound = NIOLoopBound(exchanges, eventLoop: place.loop)
        place.connect { channel in
            try channel.pipeline.syncOperations.addHandler(bound.value)
        }.whenFailure { error in bound.value.end(HTTPFault(error)) }
        return exchanges
    }
}
