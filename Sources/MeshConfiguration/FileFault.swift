import Foundation

package enum FileFault {
    /// The system's own word for why a file cannot be used.
    package static func describe(_ error: any Error) -> String {
        guard let error = error as? CocoaError else { return "\(error)" }
        switch error.code {
        case .fileReadNoSuchFile, .fileNoSuchFile: return "no such file"
        case .fileReadNoPermission, .fileWriteNoPermission: return "permission denied"
        default: return (error.userInfo[NSUnderlyingErrorKey] as? any Error).map { "\($0)" } ?? error.localizedDescription
        }
    }
}
