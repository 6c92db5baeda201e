import Foundation
import Logging

/// One line of the log, as text for people or as JSON for machines.
enum LogLine {
    static func text(_ event: LogEvent, label: String, metadata: Logger.Metadata, at milliseconds: Int64) -> String {
        var line = "\(timestamp(milliseconds)) \(event.level.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0)) \(label): "
        line += escapeControls("\(event.message)")
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { line += " \(key)=\(quoteIfNeeded("\(value)"))" }
        return line
    }

    /// Metadata are fields beside `time`, `level`, `label` and `message`; one that has the name of these gets `metadata.` before it.
    static func json(_ event: LogEvent, label: String, metadata: Logger.Metadata, at milliseconds: Int64) -> String {
        let own: [(String, String)] = [
            ("time", timestamp(milliseconds)), ("level", event.level.rawValue), ("label", label), ("message", "\(event.message)"),
        ]
        var fields = own.map { "\(jsonString($0.0)):\(jsonString($0.1))" }
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let name = own.contains { $0.0 == key } ? "metadata.\(key)" : key
            fields.append("\(jsonString(name)):\(jsonValue(value))")
        }
        return "{\(fields.joined(separator: ","))}"
    }

    /// ISO 8601 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`.
    static func timestamp(_ milliseconds: Int64) -> String {
        var seconds = time_t(milliseconds / 1_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        let date = "\(parts.tm_year + 1_900)-\(pad(parts.tm_mon + 1))-\(pad(parts.tm_mday))"
        return "\(date)T\(pad(parts.tm_hour)):\(pad(parts.tm_min)):\(pad(parts.tm_sec)).\(pad(Int32(milliseconds % 1_000), 3))Z"
    }

    private static func pad(_ number: Int32, _ width: Int = 2) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    // MARK: Escaping: a line stays a line whatever a client sends

    private static func escapeControls(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        return text.unicodeScalars.map { isControl($0) ? $0.escaped(asASCII: true) : String($0) }.joined()
    }

    private static func quoteIfNeeded(_ text: String) -> String {
        let isPlain = !text.isEmpty && text.unicodeScalars.allSatisfy { !isControl($0) && $0 != " " && $0 != "\"" && $0 != "=" }
        return isPlain ? text : jsonString(text)
    }

    /// C0, DEL and C1: the last would let a name that a client chose steer the terminal that shows the log.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.generalCategory == .control }

    private static func jsonValue(_ value: Logger.MetadataValue) -> String {
        switch value {
        case .array(let values): "[\(values.map(jsonValue).joined(separator: ","))]"
        case .dictionary(let values):
            "{\(values.sorted { $0.key < $1.key }.map { "\(jsonString($0.key)):\(jsonValue($0.value))" }.joined(separator: ","))}"
        case .string(let text): jsonString(text)
        case .stringConvertible(let number as any BinaryInteger): "\(number)"
        case .stringConvertible(let flag as Bool): "\(flag)"
        case .stringConvertible(let other): jsonString("\(other)")
        }
    }

    /// RFC 8259, section 7.
    private static func jsonString(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case _ where isControl(scalar):
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
