/// Last words to clients that speak the wrong protocol for a port, in a protocol that they understand.
enum Refusals {
    /// A TLS record with the fatal alert handshake_failure, for TLS on a port without it.
    static let alert: [UInt8] = [21, 3, 1, 0, 2, 2, 40]

    private static let text = "this port speaks TLS: use https or wss\n"

    static let http1 = Array(
        """
        HTTP/1.1 400 Bad Request\r
        content-type: text/plain\r
        content-length: \(text.utf8.count)\r
        connection: close\r
        \r
        \(text)
        """.utf8)

    /// Empty SETTINGS, then GOAWAY with INADEQUATE_SECURITY.
    static let http2: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0] + [0, 0, 8, 7, 0, 0, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0, 12]
}
