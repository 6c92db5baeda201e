import MeshCore

/// Reads the `retention` section of `mesh.yaml`.
struct RetentionReader {
    let findings: Findings

    private static let messages = 1...10_000_000
    private static let age = TimeSpan.seconds(1)...TimeSpan.seconds(100 * 365 * 86_400)
    private static let bytes = (64 << 10)...(1 << 40)
    private static let roomRulesMax = 1_000

    /// - Parameter known: the names of the mesh's placements.
    func read(_ top: inout Section, placements known: Set<String>) -> RetentionRules {
        var rules = RetentionRules()
        guard var section = top.section("retention") else { return rules }
        defer { section.finish() }
        if let standard = section.section("default") { rules.standard = readRule(standard) }
        rules.placements = readPlacements(&section, known)
        rules.rooms = readRooms(&section)
        return rules
    }

    private func readPlacements(_ section: inout Section, _ known: Set<String>) -> [String: RetentionRules.Rule] {
        guard var placements = section.section("placements") else { return [:] }
        var rules: [String: RetentionRules.Rule] = [:]
        for name in placements.names {
            if !known.contains(name) { findings.report("names the unknown placement \(name)", at: placements.place(of: name)) }
            if let rule = placements.section(name) { rules[name] = readRule(rule) }
        }
        return rules
    }

    private func readRooms(_ section: inout Section) -> [RetentionRules.RoomRule] {
        let sections = section.sections("rooms")
        if sections.count > Self.roomRulesMax {
            findings.report("has \(sections.count) rules; at most \(Self.roomRulesMax) are read", at: section.place(of: "rooms"))
        }
        var patterns: [Located<RoomPattern>] = []
        var rules: [RetentionRules.RoomRule] = []
        for var room in sections {
            let match = room.required("match", ScalarParsers.roomPattern)
            let rule = readRule(room)
            guard let match else { continue }
            reportUnreachable(match, behind: patterns)
            patterns.append(match)
            rules.append(.init(match: match.value, rule: rule))
        }
        return rules
    }

    /// The first match counts, so what an earlier pattern matches as a whole is never asked.
    private func reportUnreachable(_ match: Located<RoomPattern>, behind earlier: [Located<RoomPattern>]) {
        guard let first = earlier.first(where: { $0.value.covers(match.value) }) else { return }
        findings.report("is never reached: `\(first.value)` in line \(first.place.line) matches all of it", at: match.place)
    }

    private func readRule(_ section: Section) -> RetentionRules.Rule {
        var section = section
        defer { section.finish() }
        return RetentionRules.Rule(
            messages: section.optional("messages", ScalarParsers.integer(Self.messages))?.value,
            age: section.optional("age", ScalarParsers.retentionAge(Self.age))?.value,
            bytes: section.optional("bytes", ScalarParsers.bytes(Self.bytes))?.value)
    }
}

extension ScalarParsers {
    /// A room's name, or the beginning of one and `*`.
    static func roomPattern(_ text: String) throws(InvalidValue) -> RoomPattern {
        guard text.utf8.dropLast().allSatisfy({ $0 != UInt8(ascii: "*") }) else {
            throw InvalidValue("`\(text)` is not a room or the beginning of one and `*`: a `*` stands at the end only")
        }
        // The beginning of a name may end within a tag.
        guard text.utf8.last != UInt8(ascii: "*") else { return RoomPattern(text) }
        do throws(NameFault) {
            try NameRules.checkRoom(text)
        } catch {
            throw InvalidValue("`\(text)` is not a room: \(error)")
        }
        return RoomPattern(text)
    }

    /// A time, or `none`.
    static func retentionAge(_ range: ClosedRange<TimeSpan>) -> (String) throws(InvalidValue) -> RetentionRules.Rule.Age {
        { text throws(InvalidValue) in text == "none" ? .unlimited : .most(try timeSpan(range)(text)) }
    }
}
