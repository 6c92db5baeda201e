import Foundation
import Logging
import MeshCore
import Synchronization
import Testing

@testable import MeshConfiguration

@Suite struct LoggingTests {
    final class Lines: Sendable {
        let all = Mutex<[String]>([])
        func logger(_ format: LoggingConfiguration.Format) -> Logger {
            Logger(label: "relay") { label in
                LineLogHandler(label: label, format: format, logLevel: .info) { line in self.all.withLock { $0.append(line) } }
            }
        }
        var only: String? { all.withLock { $0.count == 1 ? $0[0] : nil } }
    }

    @Test func timestampsAreISO8601InUTCWithMilliseconds() {
        #expect(LogLine.timestamp(0) == "1970-01-01T00:00:00.000Z")
        #expect(LogLine.timestamp(1_767_323_045_007) == "2026-01-02T03:04:05.007Z")
        #expect(LogLine.timestamp(951_782_400_000) == "2000-02-29T00:00:00.000Z")
    }

    @Test func textHasMetadataSortedAndQuotedWhereNeeded() throws {
        let lines = Lines()
        var logger = lines.logger(.text)
        logger[metadataKey: "node"] = "eu-west-0"
        logger.warning("link down", metadata: ["reason": "closed by peer", "attempt": "\(3)"])
        let line = try #require(lines.only)
        #expect(line.hasSuffix("Z warning  relay: link down attempt=3 node=eu-west-0 reason=\"closed by peer\"\n"))
    }

    @Test func levelsBelowTheConfiguredOneAreLeftOut() {
        let lines = Lines()
        lines.logger(.text).debug("too much")
        #expect(lines.all.withLock { $0.isEmpty })
    }

    @Test(arguments: [LoggingConfiguration.Format.text, .json])
    func aLineStaysALineWhateverAClientSends(format: LoggingConfiguration.Format) throws {
        let lines = Lines()
        lines.logger(format).info("refused", metadata: ["user": "eve\n2026 forged\u{1B}[2J\u{9B}1m\u{0}", "empty": ""])
        let line = try #require(lines.only)
        #expect(line.dropLast().unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
        #expect(line.hasSuffix("\n"))
    }

    @Test func jsonLinesAreObjectsWithMetadataAsFields() throws {
        let lines = Lines()
        lines.logger(.json).error(
            "append failed",
            metadata: ["room": "lobby \"x\"\n", "attempts": .stringConvertible(3), "level": "mine", "nodes": ["a", ["b": "c"]]])
        let object = try JSONSerialization.jsonObject(with: Data(try #require(lines.only).utf8)) as? [String: Any]
        let fields = try #require(object)
        #expect(fields["level"] as? String == "error")
        #expect(fields["message"] as? String == "append failed")
        #expect(fields["label"] as? String == "relay")
        #expect(fields["room"] as? String == "lobby \"x\"\n")
        #expect(fields["attempts"] as? Int == 3)
        #expect(fields["metadata.level"] as? String == "mine")
        #expect((fields["nodes"] as? [Any])?.first as? String == "a")
        #expect((fields["time"] as? String)?.count == 24)
    }
}

@Suite struct RelayOptionsTests {
    /// A limit that is added to the struct and not to the table could not be set by anybody.
    @Test func theTablesNameEveryField() {
        let limits = Mirror(reflecting: RelayLimits()).children.compactMap(\.label)
        let timings = Mirror(reflecting: RelayTimings()).children.compactMap(\.label)
        #expect(RelayOptions.limits.map(\.name) == limits)
        #expect(RelayOptions.timings.map(\.name) == timings)
    }

    @Test func theTablesPointAtTheFieldsTheyName() {
        for option in RelayOptions.limits {
            var changed = RelayLimits()
            changed[keyPath: option.keyPath] = -7
            let hit = Mirror(reflecting: changed).children.filter { ($0.value as? Int) == -7 }.compactMap(\.label)
            #expect(hit == [option.name])
        }
        for option in RelayOptions.timings {
            var changed = RelayTimings()
            changed[keyPath: option.keyPath] = .milliseconds(-7)
            let hit = Mirror(reflecting: changed).children.filter { ($0.value as? TimeSpan) == .milliseconds(-7) }.compactMap(\.label)
            #expect(hit == [option.name])
        }
    }

    @Test func defaultsLieWithinTheirRanges() {
        for option in RelayOptions.limits { #expect(option.range.contains(RelayLimits()[keyPath: option.keyPath]), "\(option.name)") }
        for option in RelayOptions.timings { #expect(option.range.contains(RelayTimings()[keyPath: option.keyPath]), "\(option.name)") }
    }
}
