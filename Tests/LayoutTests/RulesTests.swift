import Testing

/// A rule that cannot fail is a defect: each is shown a breach and its lawful neighbour.
@Suite("Layout rules, on small texts")
struct RulesTests {
    private func file(_ path: String, _ text: String) -> SourceFile { SourceFile(path: path, text: text) }

    private func found(_ breaches: [Breach]) -> [String] { breaches.map(\.description) }

    @Test("a pure module imports its table and nothing of the platform")
    func pureImports() {
        let text = """
            import MeshCore
            import Foundation
            @testable import NIOCore
            public import struct Transport.MeshLink
            import Synchronization
            """
        #expect(
            found(Rules.imports(file("Sources/Membership/A.swift", text))) == [
                "Sources/Membership/A.swift:2: Membership may not import Foundation",
                "Sources/Membership/A.swift:3: Membership may not import NIOCore",
                "Sources/Membership/A.swift:4: Membership may not import Transport",
            ])
    }

    @Test("shells do not import one another, Wire knows no state, unknown modules are told")
    func shellImports() {
        #expect(found(Rules.imports(file("Sources/Transport/A.swift", "import Membership\nimport Wire\nimport NIOCore"))).isEmpty)
        #expect(
            found(Rules.imports(file("Sources/Transport/A.swift", "import Store"))) == [
                "Sources/Transport/A.swift:1: Transport may not import Store"
            ])
        #expect(
            found(Rules.imports(file("Sources/Store/A.swift", "import Transport"))) == [
                "Sources/Store/A.swift:1: Store may not import Transport"
            ])
        #expect(found(Rules.imports(file("Sources/Wire/A.swift", "import Rooms"))) == ["Sources/Wire/A.swift:1: Wire may not import Rooms"])
        #expect(found(Rules.imports(file("Sources/New/A.swift", ""))) == ["Sources/New/A.swift:1: New is not in the table"])
        #expect(found(Rules.imports(file("Sources/Wire/a.pb.swift", "import Foundation"))).isEmpty)
        #expect(found(Rules.imports(file("Tests/WireTests/A.swift", "import Store"))).isEmpty)
    }

    @Test("pure modules of the table import pure modules only")
    func tableIsPure() {
        for module in ModuleTable.pureModules {
            let ours = (ModuleTable.allowed[module] ?? []).intersection(ModuleTable.allowed.keys)
            #expect(ours.isSubset(of: ["MeshCore"]), "\(module)")
            #expect(ModuleTable.allowed[module]?.isDisjoint(with: ModuleTable.systemLibraries) == true)
        }
        let shells: Set<String> = ["MeshConfiguration", "Store", "Transport", "Operations"]
        for shell in shells { #expect(ModuleTable.allowed[shell]?.isDisjoint(with: shells.union(["Relay"])) == true, "\(shell)") }
    }

    @Test("a C library has one owner")
    func handleOwners() {
        let one = file("Sources/Store/A.swift", "import CHiredis")
        let two = file("Sources/Store/B.swift", "\nimport CHiredis")
        #expect(found(Rules.handleOwners([one, file("Sources/Store/C.swift", "import CHiredisKit")])).isEmpty)
        let calls = ["A", "B"].map { file("Sources/Benchmarks/\($0).swift", "import CLinux") }
        #expect(found(Rules.handleOwners(calls)).isEmpty, "there is no handle to own")
        let most = ModuleTable.handleOwnersMax["COpenSSL"] ?? 1
        let owners = (0...most).map { file("Sources/TLS/\($0).swift", "import COpenSSL") }
        #expect(found(Rules.handleOwners(Array(owners.dropLast()))).isEmpty, "one for each kind of handle")
        #expect(Rules.handleOwners(owners).map(\.file) == ["Sources/TLS/\(most).swift"])
        #expect(found(Rules.handleOwners([two, one])) == ["Sources/Store/B.swift:2: CHiredis is owned by Sources/Store/A.swift already"])
    }

    @Test(
        "calls that trap, block or print",
        arguments: [
            "let a = try! b()", "let a = b as! C", "fatalError(\"x\")", "print(a)", "Thread.sleep(forTimeInterval: 1)", "  usleep(1)",
            "let text = \"fine\"; print(text)",
        ])
    func bannedCalls(_ line: String) {
        let breaches = Rules.bannedCalls(file("Sources/Store/A.swift", "// first\n" + line))
        #expect(breaches.count == 1)
        #expect(breaches.first?.line == 2)
    }

    @Test(
        "words that only look like them",
        arguments: [
            "// print(a) and try! b", "let a = \"try! as! print(\"", "debugPrint(a)", "footprint(a)", "a.print(b)", "try? b()", "x as? C",
            "let a = \"quote \\\" print(\"", "wasFatalError(a)", "has!", "\"\"\"\nprint(a)\n\"\"\"",
        ])
    func lawfulCalls(_ text: String) {
        #expect(found(Rules.bannedCalls(file("Sources/Store/A.swift", text))).isEmpty)
    }

    @Test("Task.sleep is banned in tests only, print in sources only and not for the command line")
    func whereBanned() {
        let sleep = "try await Task.sleep(for: .seconds(1))"
        #expect(Rules.bannedCalls(file("Tests/StoreTests/A.swift", sleep)).count == 1)
        #expect(Rules.bannedCalls(file("Sources/Store/A.swift", sleep)).isEmpty)
        #expect(Rules.bannedCalls(file("Tests/StoreTests/A.swift", "print(a)")).isEmpty)
        #expect(Rules.bannedCalls(file("Sources/heliograph/A.swift", "print(a)")).isEmpty)
    }

    @Test("only the file that waits may pause, and only in tests")
    func whereWaiting() {
        for sleep in ["try await Task.sleep(for: .seconds(1))", "usleep(1)"] {
            #expect(Rules.bannedCalls(file("Tests/StoreTests/Waiting.swift", sleep)).isEmpty)
            #expect(Rules.bannedCalls(file("Tests/StoreTests/NotWaiting.swift", sleep)).count == 1)
        }
        #expect(Rules.bannedCalls(file("Sources/Store/Waiting.swift", "usleep(1)")).count == 1)
        #expect(Rules.bannedCalls(file("Tests/StoreTests/Waiting.swift", "try! a()")).count == 1)
    }

    @Test("cases that nothing uses")
    func unusedCases() {
        let reasons = file("Sources/A/R.swift", "enum R: String {\n    case one = \"1\"\n    case two = \"2\"\n    case three = \"3\"\n}")
        let files = [reasons, file("Sources/A/a.swift", "count(.one)\ncount(.twofold)"), file("Tests/ATests/a.swift", "count(.three)")]
        #expect(
            found(Rules.unusedCases(of: reasons, in: files)) == [
                "Sources/A/R.swift:3: nothing uses two", "Sources/A/R.swift:4: nothing uses three",
            ])
    }

    @Test("an escape from the compiler needs a comment above it")
    func escapes() {
        let bare = "\nfinal class A: @unchecked Sendable {}"
        #expect(Rules.bannedCalls(file("Sources/Store/A.swift", bare)).map(\.line) == [2])
        #expect(Rules.bannedCalls(file("Tests/StoreTests/A.swift", "nonisolated(unsafe) var a = 1")).count == 1)
        #expect(Rules.bannedCalls(file("Sources/Store/A.swift", "// Behind a lock.\nfinal class A: @unchecked Sendable {}")).isEmpty)
        #expect(Rules.bannedCalls(file("Sources/Store/A.swift", "/// Set once.\n@inlinable\nnonisolated(unsafe) var a = 1")).isEmpty)
    }

    @Test("long files, except generated ones")
    func sizes() {
        let long = String(repeating: "\n", count: Rules.linesMax)
        #expect(Rules.size(file("Sources/Store/A.swift", long)).count == 1)
        #expect(Rules.size(file("Sources/Store/A.swift", String(long.dropLast()))).isEmpty)
        #expect(Rules.size(file("Sources/Wire/a.pb.swift", long)).isEmpty)
    }

    @Test("modules without files or tests")
    func coverage() {
        let files = [file("Sources/A/a.swift", ""), file("Tests/ATests/a.swift", ""), file("Sources/B/b.swift", "")]
        #expect(found(Rules.coverage(files, modules: ["A"])).isEmpty)
        #expect(
            found(Rules.coverage(files, modules: ["A", "B", "C"])) == [
                "Tests/BTests:1: no tests for B", "Sources/C:1: no Swift file", "Tests/CTests:1: no tests for C",
            ])
    }

    @Test("targets and table name the same modules")
    func manifest() {
        let text = """
            func module(_ name: String) -> Target {
                .target(name: name)
            }
            targets: [
                module("A"),
                module(
                    "B",
                    ["A"]),
                .executableTarget(
                    name: "c"),
                .systemLibrary(name: "CX"),
                tests("ATests", ["A"]),
            """
        #expect(found(Rules.manifest(text, modules: ["A", "B", "c"])).isEmpty)
        #expect(
            found(Rules.manifest(text, modules: ["A", "c", "D"])) == [
                "Package.swift:1: D is in the table of modules and no target", "Package.swift:7: B is not in the table of modules",
            ])
    }
}
