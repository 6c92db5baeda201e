/// One thing that is wrong in a configuration file.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    public var file: String
    /// From 1. The line of the field, or of the section that lacks it.
    public var line: Int
    /// Path of the field: `limits.maxFrameBytes`, `regions[1].nodes[0].client`.
    public var field: String
    public var message: String

    public init(file: String, line: Int, field: String, message: String) {
        self.file = file
        self.line = line
        self.field = field
        self.message = message
    }

    /// `file:line: field: message`, which editors and terminals make a link of.
    public var description: String { "\(file):\(line): \(field): \(message)" }
}

/// All that is wrong with a configuration, ordered by file and line. Never empty.
public struct ConfigurationErrors: Error, Hashable, Sendable, CustomStringConvertible {
    public let errors: [ConfigurationError]

    init(_ errors: [ConfigurationError]) {
        self.errors = errors.sorted { ($0.file, $0.line, $0.field) < ($1.file, $1.line, $1.field) }
    }

    /// One error a line.
    public var description: String { errors.map(\.description).joined(separator: "\n") }
}

/// Where a field stands.
struct Place: Hashable {
    var file: String
    var line: Int
    var field: String
}

/// A value and where it was written.
struct Located<Value> {
    var value: Value
    var place: Place
}

/// What the readers of one load found wrong. A class, because nested sections share it.
final class Findings {
    private(set) var errors: [ConfigurationError] = []

    func report(_ message: String, at place: Place) {
        errors.append(ConfigurationError(file: place.file, line: place.line, field: place.field, message: message))
    }
}
