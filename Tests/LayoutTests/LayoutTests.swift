import Foundation
import Testing

/// The rules over what stands in the repository.
@Suite("Layout")
struct LayoutTests {
    private static let top = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    private let files: [SourceFile]
    private let manifest: String

    init() throws {
        files = try ["Sources", "Tests"].flatMap(Self.swiftFiles)
        manifest = try String(contentsOf: Self.top.appending(path: "Package.swift"), encoding: .utf8)
    }

    private static func swiftFiles(under folder: String) throws -> [SourceFile] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: top.appending(path: folder).path)
        return try names.filter { $0.hasSuffix(".swift") }.sorted().map { name in
            let text = try String(contentsOf: top.appending(path: folder).appending(path: name), encoding: .utf8)
            return SourceFile(path: "\(folder)/\(name)", text: text)
        }
    }

    private func expectNone(_ breaches: [Breach]) {
        #expect(breaches.isEmpty, "\(breaches.map(\.description).joined(separator: "\n"))")
    }

    @Test("there is something to check")
    func notEmpty() {
        #expect(files.count > 20)
        #expect(files.contains { $0.path == "Sources/MeshCore/Shard.swift" })
        #expect(files.reduce(0) { $0 + $1.imports.count } > 20)
    }

    @Test("every import is in the table of its module") func imports() { expectNone(files.flatMap { Rules.imports($0) }) }
    @Test("a C library has one owner") func handleOwners() { expectNone(Rules.handleOwners(files)) }
    @Test("no banned calls, no unexplained escapes") func bannedCalls() { expectNone(files.flatMap(Rules.bannedCalls)) }
    @Test("every reason of a drop is counted somewhere") func dropReasons() throws {
        let reasons = try #require(files.first { $0.path == "Sources/MeshCore/Drops.swift" })
        expectNone(Rules.unusedCases(of: reasons, in: files))
    }

    @Test("no file is too long") func sizes() { expectNone(files.flatMap(Rules.size)) }
    @Test("every module has files and tests") func coverage() { expectNone(Rules.coverage(files)) }
    @Test("Package.swift and the table agree") func targets() { expectNone(Rules.manifest(manifest)) }
}
