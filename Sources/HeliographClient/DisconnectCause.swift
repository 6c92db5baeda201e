public import TLS
import Wire

/// Why a connection ended.
public enum DisconnectCause: Hashable, Sendable, CustomStringConvertible {
    /// The relay's own farewell. Codes are those of the protocol: 4000 to 4499 ask to come back.
    case goodbye(code: UInt32, reason: String, afterMs: UInt32, edges: [String])
    /// The WebSocket was closed without one.
    case closeFrame(code: UInt16?, reason: String)
    /// The gRPC call was ended without one, by this status.
    case callEnded(status: Int, message: String)
    /// There was no secure connection, or it broke.
    case tls(TLSFault)
    /// The transport failed, could not be opened, or fell silent.
    case transport(String)

    /// What a failed attempt, or an error on the way, says.
    init(_ error: any Error) {
        switch error {
        case HeliographClientError.connectionLost(let cause): self = cause
        case HeliographClientError.tls(let fault): self = .tls(fault)
        case HeliographClientError.invalidTLSSettings(let reason): self = .tls(TLSFault(label: Self.invalidSettings, text: reason))
        case HeliographClientError.callRefused(let status, let message): self = .callEnded(status: status, message: message)
        default: self = .transport("\(error)")
        }
    }

    /// Whether the same credentials may come back. Codes 4500 to 4999 say no; so do the codes by which the peer says
    /// that it does not understand us, and what only another configuration of TLS can mend.
    public var allowsReturn: Bool {
        switch self {
        case .goodbye(let code, _, _, _): !(4500...4999).contains(code)
        case .closeFrame(let code?, _): !(4500...4999).contains(code) && ![1002, 1003, 1007, 1009, 1010].contains(code)
        case .callEnded(let status, _): !Self.finalStatuses.contains(GRPCStatus(rawValue: status) ?? .unknown)
        case .tls(let fault): !Self.configurationFaults.contains(fault.label)
        case .closeFrame(nil, _), .transport: true
        }
    }

    /// Those that the protocol's table has for codes from 4500 on. A token that has expired is told by a goodbye.
    private static let finalStatuses: Set<GRPCStatus> = [
        .invalidArgument, .permissionDenied, .resourceExhausted, .aborted, .unimplemented, .unauthenticated,
    ]

    private static let invalidSettings = "invalid_settings"
    /// Labels of `TLSFault`. An expired certificate is not among them: it is renewed under the feet of those who wait.
    private static let configurationFaults: Set<String> = [
        invalidSettings, "unknown_ca", "wrong_name", "wrong_purpose", "certificate_rejected", "no_server_name", "bad_server_name",
        "not_tls",
        "protocol_version", "no_shared_cipher", "no_shared_group", "no_shared_signature", "no_application_protocol",
        "alert_unknown_ca", "alert_bad_certificate", "alert_unsupported_certificate", "alert_certificate_unknown",
        "alert_certificate_required", "alert_handshake_failure", "alert_protocol_version", "alert_access_denied",
        "alert_no_application_protocol", "alert_unrecognized_name",
    ]

    public var description: String {
        switch self {
        case .goodbye(let code, let reason, _, _): "\(code) \(reason)"
        case .closeFrame(let code, let reason): "\(code.map(String.init) ?? "closed") \(reason)"
        case .callEnded(let status, let message): "gRPC status \(status): \(message)"
        case .tls(let fault): "TLS: \(fault)"
        case .transport(let reason): reason
        }
    }
}
