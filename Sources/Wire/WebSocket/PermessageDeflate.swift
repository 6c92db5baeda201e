/// What both ends agreed on about compression (RFC 7692, section 7). Heliograph never lets a window outlive its message, on
/// neither side: then all connections share their compressors, and a session costs no memory for it.
public struct PermessageDeflate: Hashable, Sendable {
    /// Why a client fails the connection over the server's answer.
    public enum AnswerFault: Error, Hashable, Sendable {
        /// The field breaks the grammar of RFC 6455, section 9.1.
        case malformed
        /// An extension that was not offered, or this one twice.
        case notOffered
        /// A parameter that is unknown, doubled, out of range or not allowed by the offer; or the demanded one is missing.
        case invalidParameters
    }

    private static let name = "permessage-deflate"
    /// The window for all clients that demand a smaller one than zlib's largest: what it produces suits each of them.
    private static let smallWindowBits = 9
    private static let largeWindowBits = 15

    /// The window that the client demanded and the server grants.
    private let serverMaxWindowBits: Int?

    /// The window of the server's messages, for its `WebSocketDeflater`: 15, or 9 if the client demands less than 15.
    public var serverWindowBits: Int { serverMaxWindowBits ?? Self.largeWindowBits }

    // MARK: The server

    /// The first offer that can be met; nil if there is none. An offer with a duplicated, unknown or invalid parameter is passed
    /// over (section 5.1), as is one that demands a window of 8, which zlib does not have.
    /// - Parameter fields: the values of all `Sec-WebSocket-Extensions` of the request, in their order.
    public static func accept(offers fields: [String]) -> PermessageDeflate? {
        let offers = WebSocketExtension.parse(fields) ?? []
        return offers.lazy.filter { $0.name == name }.compactMap(accept).first
    }

    private static func accept(_ offer: WebSocketExtension) -> PermessageDeflate? {
        guard let parameters = DeflateParameters(offer.parameters, of: .offer) else { return nil }
        guard let demand = parameters.serverMaxWindowBits else { return PermessageDeflate(serverMaxWindowBits: nil) }
        guard demand >= smallWindowBits else { return nil }
        return PermessageDeflate(serverMaxWindowBits: demand < largeWindowBits ? smallWindowBits : largeWindowBits)
    }

    /// `Sec-WebSocket-Extensions` of the server's answer. A server may refuse the client's context takeover unasked (section 7.1.1.2).
    public var responseHeader: String {
        let window = serverMaxWindowBits.map { "; server_max_window_bits=\($0)" } ?? ""
        return Self.offer + window
    }

    // MARK: The client

    /// `Sec-WebSocket-Extensions` of the client's request. It leaves the window of the client to the client.
    public static let offer = "\(name); server_no_context_takeover; client_no_context_takeover"

    /// What the server made of `offer`; nil if it declined.
    /// - Parameter fields: the values of all `Sec-WebSocket-Extensions` of the response, in their order.
    public static func check(answer fields: [String]) throws(AnswerFault) -> PermessageDeflate? {
        guard let extensions = WebSocketExtension.parse(fields) else { throw .malformed }
        guard let answer = extensions.first else { return nil }
        guard extensions.count == 1, answer.name == name else { throw .notOffered }
        guard let parameters = DeflateParameters(answer.parameters, of: .answer), parameters.serverNoContextTakeover,
            !parameters.hasClientMaxWindowBits
        else { throw .invalidParameters }
        return PermessageDeflate(serverMaxWindowBits: parameters.serverMaxWindowBits)
    }
}

/// The parameters of one offer or answer (RFC 7692, section 7.1).
private struct DeflateParameters {
    enum Side { case offer, answer }

    private(set) var serverNoContextTakeover = false
    private(set) var clientNoContextTakeover = false
    private(set) var serverMaxWindowBits: Int?
    private(set) var hasClientMaxWindowBits = false

    /// Nil if one is unknown, stands there twice, lacks its value or has one that it must not have.
    init?(_ parameters: [WebSocketExtension.Parameter], of side: Side) {
        for parameter in parameters {
            guard take(parameter, side) else { return nil }
        }
    }

    private mutating func take(_ parameter: WebSocketExtension.Parameter, _ side: Side) -> Bool {
        switch parameter.name {
        case "server_no_context_takeover":
            return Self.set(&serverNoContextTakeover) && parameter.value == nil
        case "client_no_context_takeover":
            return Self.set(&clientNoContextTakeover) && parameter.value == nil
        case "client_max_window_bits":
            // In an offer it may stand alone: the client understands the parameter (section 7.1.2.2).
            let isValid = parameter.value.map { Self.windowBits($0) != nil } ?? (side == .offer)
            return Self.set(&hasClientMaxWindowBits) && isValid
        case "server_max_window_bits":
            guard serverMaxWindowBits == nil, let value = parameter.value else { return false }
            serverMaxWindowBits = Self.windowBits(value)
            return serverMaxWindowBits != nil
        default:
            return false
        }
    }

    /// False if it was set before.
    private static func set(_ flag: inout Bool) -> Bool {
        defer { flag = true }
        return !flag
    }

    /// 8 to 15 in decimal without a leading zero.
    private static func windowBits(_ value: String) -> Int? { (8...15).first { String($0) == value } }
}
