import Foundation
import FuzzTargets
import Testing

/// Runs every target on the inputs that the fuzzer has kept: the corpus, and what once broke something. A broken invariant traps
/// and names itself.
@Suite("Fuzz targets")
struct ReplayTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fuzzing")
    /// Inputs are short: a repository is no place for a fuzzer's whole memory.
    private static let corpusBytesMax = 200_000

    private static func inputs(_ kind: String, _ target: FuzzTarget) throws -> [Data] {
        let path = folder.appending(path: kind).appending(path: target.rawValue)
        guard FileManager.default.fileExists(atPath: path.path) else { return [] }
        return try FileManager.default.contentsOfDirectory(at: path, includingPropertiesForKeys: nil)
            .sorted { $0.lastPathComponent < $1.lastPathComponent }.map { try Data(contentsOf: $0) }
    }

    @Test("the corpus", arguments: FuzzTarget.allCases) func corpus(target: FuzzTarget) throws {
        let inputs = try Self.inputs("Corpus", target)
        #expect(inputs.count >= 10, "\(target.rawValue) has something to run")
        for input in inputs { input.withUnsafeBytes(target.run) }
    }

    @Test("what once failed", arguments: FuzzTarget.allCases) func failCases(target: FuzzTarget) throws {
        for input in try Self.inputs("FailCases", target) { input.withUnsafeBytes(target.run) }
    }

    @Test("the corpus is small, and belongs to targets") func size() throws {
        let bytes = try FuzzTarget.allCases.flatMap { try Self.inputs("Corpus", $0) + Self.inputs("FailCases", $0) }.map(\.count)
        #expect(bytes.reduce(0, +) <= Self.corpusBytesMax)
        for kind in ["Corpus", "FailCases"] {
            let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.appending(path: kind).path)
            #expect(Set(names).subtracting(FuzzTarget.allCases.map(\.rawValue)).subtracting([".gitkeep"]).isEmpty)
        }
    }
}
