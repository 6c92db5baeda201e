import Foundation
import Logging
import Synchronization

/// Sends all logs of the process to standard error, a line each, as `configuration` says. Once per process, before the first logger.
public func bootstrapLogging(_ configuration: LoggingConfiguration) {
    let level = Logger.Level(rawValue: configuration.level) ?? .info
    LoggingSystem.bootstrap { label in
        LineLogHandler(label: label, format: configuration.format, logLevel: level, write: StandardError.write)
    }
}

/// Writes each event as one line.
struct LineLogHandler: LogHandler {
    let label: String
    let format: LoggingConfiguration.Format
    var logLevel: Logger.Level
    /// Takes a whole line with its newline.
    let write: @Sendable (String) -> Void
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    init(label: String, format: LoggingConfiguration.Format, logLevel: Logger.Level, write: @escaping @Sendable (String) -> Void) {
        self.label = label
        self.format = format
        self.logLevel = logLevel
        self.write = write
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var merged = metadata
        if let provided = metadataProvider?.get() { merged.merge(provided) { _, new in new } }
        if let own = event.metadata { merged.merge(own) { _, new in new } }
        if let error = event.error { merged["error"] = "\(error)" }
        let milliseconds = Int64(Date().timeIntervalSince1970 * 1_000)
        switch format {
        case .text: write(LogLine.text(event, label: label, metadata: merged, at: milliseconds) + "\n")
        case .json: write(LogLine.json(event, label: label, metadata: merged, at: milliseconds) + "\n")
        }
    }
}

private enum StandardError {
    /// Lines of several threads must not be torn.
    private static let lock = Mutex(())

    @Sendable static func write(_ line: String) {
        lock.withLock { _ in
            var rest = Array(line.utf8)[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { Foundation.write(STDERR_FILENO, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                // Nobody reads any more, and there is no other place to say so.
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }
    }
}
