/// A breach of a rule, where it stands.
struct Breach: Hashable, CustomStringConvertible {
    var file: String
    var line: Int
    var rule: String
    var description: String { "\(file):\(line): \(rule)" }
}

/// One Swift file with its path from the top of the repository: `Sources/<module>/...` or `Tests/<target>/...`.
struct SourceFile {
    var path: String
    var lines: [Substring]

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    }

    private var parts: [Substring] { path.split(separator: "/") }
    var isTest: Bool { parts.first == "Tests" }
    var module: String { parts.count > 1 ? String(parts[1]) : "" }
    var isWaiting: Bool { isTest && parts.last == Substring(ModuleTable.waitingFile) }
    var isGenerated: Bool { path.hasSuffix(".pb.swift") }

    /// The names after `import`, with their lines. Attributes, access levels and kinds (`import struct X.Y`) are looked through.
    var imports: [(module: String, line: Int)] {
        let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var"]
        return lines.enumerated().compactMap { index, line in
            var words = line.split(separator: " ")[...]
            let prefixes: Set<Substring> = ["public", "package", "internal", "fileprivate", "private"]
            while let first = words.first, first.hasPrefix("@") || prefixes.contains(first) { words.removeFirst() }
            guard words.popFirst() == "import" else { return nil }
            if let kind = words.first, kinds.contains(kind) { words.removeFirst() }
            guard let name = words.first?.split(separator: ".").first else { return nil }
            return (String(name), index + 1)
        }
    }
}

enum Rules {
    static let linesMax = 600

    // MARK: Imports

    /// Every import stands in the table of the file's module.
    static func imports(_ file: SourceFile, allowed: [String: Set<String>] = ModuleTable.allowed) -> [Breach] {
        guard !file.isTest, !file.isGenerated else { return [] }
        guard let table = allowed[file.module] else {
            return [Breach(file: file.path, line: 1, rule: "\(file.module) is not in the table")]
        }
        let platform = ModuleTable.pureModules.contains(file.module) ? ModuleTable.pure : ModuleTable.platform
        return file.imports.compactMap { name, line in
            guard !table.contains(name), !platform.contains(name) else { return nil }
            return Breach(file: file.path, line: line, rule: "\(file.module) may not import \(name)")
        }
    }

    /// A C library belongs to one file.
    static func handleOwners(_ files: [SourceFile]) -> [Breach] {
        ModuleTable.systemLibraries.subtracting(ModuleTable.handleFree).sorted().flatMap { library -> [Breach] in
            let owners = files.flatMap { file in file.imports.filter { $0.module == library }.map { (file.path, $0.line) } }
            return owners.sorted { $0.0 < $1.0 }.dropFirst(ModuleTable.handleOwnersMax[library] ?? 1).map {
                Breach(file: $0.0, line: $0.1, rule: "\(library) is owned by \(owners.map(\.0).min() ?? "") already")
            }
        }
    }

    // MARK: Calls

    static func bannedCalls(_ file: SourceFile) -> [Breach] {
        guard !file.isGenerated else { return [] }
        var breaches: [Breach] = []
        var isInText = false
        for (index, line) in file.lines.enumerated() {
            let code = code(of: line, isInText: &isInText)
            for ban in bans(for: file) where ban.matches(code) {
                breaches.append(Breach(file: file.path, line: index + 1, rule: ban.rule))
            }
            if escapesChecker(code), !isExplained(file.lines, index) {
                breaches.append(Breach(file: file.path, line: index + 1, rule: "the proof of safety must stand in a comment above"))
            }
        }
        return breaches
    }

    private struct Ban {
        var call: String
        var rule: String

        /// Whether the call stands in the code as words of its own.
        func matches(_ code: String) -> Bool {
            var rest = code[...]
            while let found = rest.firstRange(of: call) {
                let before = found.lowerBound == code.startIndex ? " " : code[code.index(before: found.lowerBound)]
                if !before.isLetter, !before.isNumber, before != "_", before != "." { return true }
                rest = rest[found.upperBound...]
            }
            return false
        }
    }

    private static func bans(for file: SourceFile) -> [Ban] {
        var bans = [
            Ban(call: "try!", rule: "try! traps: handle the error"),
            Ban(call: "as!", rule: "as! traps: use as?"),
            Ban(call: "fatalError(", rule: "fatalError: use precondition with the state in its text"),
        ]
        guard !file.isWaiting else { return bans }
        bans.append(Ban(call: "Thread.sleep", rule: "Thread.sleep blocks: wait for a condition or use a timer"))
        bans.append(Ban(call: "usleep(", rule: "usleep blocks: wait for a condition or use a timer"))
        if file.isTest { bans.append(Ban(call: "Task.sleep", rule: "tests wait for conditions or use a fake clock")) }
        if !file.isTest, !ModuleTable.printing.contains(file.module) {
            bans.append(Ban(call: "print(", rule: "print belongs to the command line: log instead"))
        }
        return bans
    }

    private static func escapesChecker(_ code: String) -> Bool {
        code.contains("@unchecked Sendable") || code.contains("nonisolated(unsafe)")
    }

    /// A comment stands on the line above, or above the attributes that lead to it.
    private static func isExplained(_ lines: [Substring], _ index: Int) -> Bool {
        var above = index - 1
        while above >= 0 {
            let line = lines[above].drop { $0 == " " }
            if line.hasPrefix("//") { return true }
            guard line.hasPrefix("@") else { return false }
            above -= 1
        }
        return false
    }

    // MARK: Names that nothing uses

    /// Every case of an enum is named in a source file other than its own.
    static func unusedCases(of declaration: SourceFile, in files: [SourceFile]) -> [Breach] {
        let others = files.filter { !$0.isTest && $0.path != declaration.path }.map { $0.lines.joined(separator: "\n") }
        return declaration.lines.enumerated().compactMap { index, line in
            let words = line.split(separator: " ")
            guard words.count >= 4, words[0] == "case", words[2] == "=" else { return nil }
            let use = ".\(words[1])"
            guard !others.contains(where: { uses($0, use) }) else { return nil }
            return Breach(file: declaration.path, line: index + 1, rule: "nothing uses \(words[1])")
        }
    }

    private static func uses(_ text: String, _ name: String) -> Bool {
        var rest = text[...]
        while let found = rest.firstRange(of: name) {
            rest = rest[found.upperBound...]
            guard let next = rest.first, next.isLetter || next.isNumber || next == "_" else { return true }
        }
        return false
    }

    // MARK: Sizes and folders

    static func size(_ file: SourceFile) -> [Breach] {
        guard !file.isGenerated, file.lines.count > linesMax else { return [] }
        return [Breach(file: file.path, line: linesMax + 1, rule: "\(file.lines.count) lines, at most \(linesMax): split it")]
    }

    /// Every module of the table has a Swift file, and a test target with one.
    static func coverage(_ files: [SourceFile], modules: some Sequence<String> = ModuleTable.allowed.keys) -> [Breach] {
        let sources = Set(files.filter { !$0.isTest }.map(\.module))
        let tests = Set(files.filter(\.isTest).map(\.module))
        return modules.sorted().flatMap { module -> [Breach] in
            let target = ModuleTable.testedElsewhere[module] ?? "\(module)Tests"
            var breaches: [Breach] = []
            if !sources.contains(module) { breaches.append(Breach(file: "Sources/\(module)", line: 1, rule: "no Swift file")) }
            if !tests.contains(target) { breaches.append(Breach(file: "Tests/\(target)", line: 1, rule: "no tests for \(module)")) }
            return breaches
        }
    }

    /// The targets that Package.swift declares and the table name the same modules.
    static func manifest(_ manifest: String, modules: Set<String> = Set(ModuleTable.allowed.keys)) -> [Breach] {
        let file = SourceFile(path: "Package.swift", text: manifest)
        let declared = declaredModules(file)
        let missing = declared.filter { !modules.contains($0.key) }.map {
            Breach(file: file.path, line: $0.value, rule: "\($0.key) is not in the table of modules")
        }
        let stale = modules.filter { declared[$0] == nil }.map {
            Breach(file: file.path, line: 1, rule: "\($0) is in the table of modules and no target")
        }
        return (missing + stale).sorted { ($0.line, $0.rule) < ($1.line, $1.rule) }
    }

    /// `module("X"` on one line or over two, and the executable by its `name:`.
    private static func declaredModules(_ manifest: SourceFile) -> [String: Int] {
        var declared: [String: Int] = [:]
        var isOpen = false
        for (index, line) in manifest.lines.enumerated() {
            let code = line.drop { $0 == " " }
            if isOpen || code.hasPrefix("module(\"") || code.hasPrefix(".target(name: \"") {
                if let name = firstQuoted(code) { declared[name] = index + 1 }
            }
            isOpen = code == "module(" || code == ".executableTarget(" || code == ".target("
        }
        return declared
    }

    private static func firstQuoted(_ code: Substring) -> String? {
        let parts = code.split(separator: "\"", omittingEmptySubsequences: false)
        return parts.count > 2 ? String(parts[1]) : nil
    }

    // MARK: Code without texts and comments

    /// What the compiler runs of a line: string literals are emptied, comments cut off. `isInText` goes from line to line
    /// for literals of several lines. Interpolations count as text.
    static func code(of line: Substring, isInText: inout Bool) -> String {
        var code = ""
        var rest = line
        var isQuoted = false
        while !rest.isEmpty {
            if !isQuoted, rest.hasPrefix("\"\"\"") {
                isInText.toggle()
                rest.removeFirst(3)
            } else if isInText {
                rest.removeFirst()
            } else if isQuoted, rest.hasPrefix("\\") {
                rest = rest.dropFirst(2)
            } else if rest.hasPrefix("\"") {
                isQuoted.toggle()
                rest.removeFirst()
            } else if !isQuoted, rest.hasPrefix("//") {
                return code
            } else {
                let character = rest.removeFirst()
                if !isQuoted { code.append(character) }
            }
        }
        return code
    }
}
