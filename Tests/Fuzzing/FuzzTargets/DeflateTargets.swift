import NIOCore

@testable import Wire

/// Bytes that claim to be a compressed message, and bytes to compress.
///
/// Nothing above the limit is ever produced; a bad stream leaves the inflater fit for the next one; a message comes out of its
/// compressed form as it went in.
enum DeflateStreamsTarget {
    static func run(_ input: FuzzInput) {
        var input = input
        let bytesMax = input.option(of: [1 << 16, 0, 1, 511, 512, 513, 4000])
        let deflater = WebSocketDeflater(windowBits: 9 + input.option(7))
        let inflater = WebSocketInflater()
        let message = try? inflater.inflate(input.bytes, bytesMax: bytesMax)
        require(inflater.producedBytes <= bytesMax + 1, "\(inflater.producedBytes) bytes produced at a limit of \(bytesMax)")
        require((message?.readableBytes ?? 0) <= bytesMax, "a message above the limit")
        roundTrip(input.bytes, deflater, inflater)
        if let message { roundTrip(message, deflater, inflater) }
    }

    private static func roundTrip(_ payload: ByteBuffer, _ deflater: WebSocketDeflater, _ inflater: WebSocketInflater) {
        var compressed = ByteBuffer()
        guard payload.withUnsafeReadableBytes({ deflater.compress($0, into: &compressed) }) else { return }
        require(compressed.readableBytes < payload.readableBytes, "compressed to more than there was")
        let back = try? inflater.inflate(compressed, bytesMax: payload.readableBytes)
        require(back == payload, "a message does not survive its compression")
    }
}

/// `Sec-WebSocket-Extensions` of a client and of a server, one field a line.
///
/// Fields are judged one by one; a list that is written out is read as the same list; what a server grants is an answer that a
/// client takes, with a window that zlib has.
enum DeflateNegotiationTarget {
    static func run(_ input: FuzzInput) {
        let fields = String(buffer: input.bytes).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let extensions = WebSocketExtension.parse(fields)
        let single = fields.map { WebSocketExtension.parse([$0]) }
        require(extensions == (single.contains(nil) ? nil : single.flatMap { $0 ?? [] }), "fields change each other")
        if let extensions {
            require(WebSocketExtension.parse([text(of: extensions, quote: "")]) == extensions, "the list changes with its spelling")
            require(WebSocketExtension.parse([text(of: extensions, quote: "\"")]) == extensions, "the list changes with quotes")
        }
        _ = try? PermessageDeflate.check(answer: fields)
        guard let agreed = PermessageDeflate.accept(offers: fields) else { return }
        require(extensions != nil, "something malformed was accepted")
        require([9, 15].contains(agreed.serverWindowBits), "a window of \(agreed.serverWindowBits)")
        require((try? PermessageDeflate.check(answer: [agreed.responseHeader])) == agreed, "a client refuses \(agreed.responseHeader)")
    }

    private static func text(of extensions: [WebSocketExtension], quote: String) -> String {
        extensions.map { element in
            element.name + element.parameters.map { "; \($0.name)" + ($0.value.map { "=\(quote)\($0)\(quote)" } ?? "") }.joined()
        }.joined(separator: ", ")
    }
}
