/// One line being written, with its cursor and the lines before it. A value: bytes of the keyboard go in, events come out.
struct ChatLineEditor: Sendable {
    enum Event: Hashable, Sendable {
        /// The line or the cursor changed.
        case edited
        case submitted(String)
        /// Ctrl-C, or Ctrl-D on an empty line.
        case ended
    }

    /// A longer line takes no more characters.
    static let charactersMax = 4000
    static let historyMax = 100

    private(set) var characters: [Character] = []
    private(set) var cursor = 0
    private var history: [String] = []
    private var historyPlace = 0
    private var pending: [UInt8] = []

    var text: String { String(characters) }

    /// Takes keys as a terminal in raw mode sends them; an unfinished sequence waits for its rest.
    mutating func feed(_ bytes: [UInt8]) -> [Event] {
        pending += bytes
        var events: [Event] = []
        while let key = takeKey() {
            if let event = press(key) { events.append(event) }
        }
        return events
    }

    // MARK: - Keys

    private enum Key {
        case character(Character)
        case control(UInt8)
        /// The final byte of an escape sequence with its number.
        case sequence(UInt8, Int)
        case unknown
    }

    private mutating func takeKey() -> Key? {
        guard let first = pending.first else { return nil }
        if first == 0x1B { return takeSequence() }
        if first < 0x20 || first == 0x7F {
            pending.removeFirst()
            return .control(first)
        }
        return takeCharacter(first)
    }

    private mutating func takeCharacter(_ first: UInt8) -> Key? {
        let length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        guard pending.count >= length else { return nil }
        let scalar = String(validating: pending.prefix(length), as: UTF8.self)
        pending.removeFirst(scalar == nil ? 1 : length)
        return scalar?.first.map { .character($0) } ?? .unknown
    }

    /// `ESC [ number final` or `ESC O final`; ECMA-48, section 5.4.
    private mutating func takeSequence() -> Key? {
        guard pending.count >= 2 else { return nil }
        guard pending[1] == UInt8(ascii: "[") || pending[1] == UInt8(ascii: "O") else {
            pending.removeFirst(2)
            return .unknown
        }
        guard let end = pending.indices.dropFirst(2).first(where: { (0x40...0x7E).contains(pending[$0]) }) else {
            if pending.count > 16 { pending.removeAll() }
            return nil
        }
        let number = Int(String(decoding: pending[2..<end].prefix { $0 != UInt8(ascii: ";") }, as: UTF8.self)) ?? 0
        let final = pending[end]
        pending.removeFirst(end + 1)
        return .sequence(final, number)
    }

    private mutating func press(_ key: Key) -> Event? {
        switch key {
        case .character(let character): insert(character)
        case .control(let code): return control(code)
        case .sequence(let final, let number): return sequence(final, number)
        case .unknown: return nil
        }
        return .edited
    }

    private mutating func control(_ code: UInt8) -> Event? {
        switch code {
        case 0x0D, 0x0A: return submit()
        case 0x03: return .ended
        case 0x04 where characters.isEmpty: return .ended
        case 0x04: delete(cursor..<cursor + 1)
        case 0x01: cursor = 0
        case 0x05: cursor = characters.count
        case 0x08, 0x7F: delete(cursor - 1..<cursor)
        case 0x0B: delete(cursor..<characters.count)
        case 0x15: delete(0..<cursor)
        case 0x17: delete(wordStart..<cursor)
        default: return nil
        }
        return .edited
    }

    private mutating func sequence(_ final: UInt8, _ number: Int) -> Event? {
        switch (final, number) {
        case (UInt8(ascii: "A"), _): recall(historyPlace - 1)
        case (UInt8(ascii: "B"), _): recall(historyPlace + 1)
        case (UInt8(ascii: "C"), _): cursor = min(characters.count, cursor + 1)
        case (UInt8(ascii: "D"), _): cursor = max(0, cursor - 1)
        case (UInt8(ascii: "H"), _), (UInt8(ascii: "~"), 1), (UInt8(ascii: "~"), 7): cursor = 0
        case (UInt8(ascii: "F"), _), (UInt8(ascii: "~"), 4), (UInt8(ascii: "~"), 8): cursor = characters.count
        case (UInt8(ascii: "~"), 3): delete(cursor..<cursor + 1)
        default: return nil
        }
        return .edited
    }

    // MARK: - Edits

    /// A combining scalar joins the character before the cursor.
    private mutating func insert(_ character: Character) {
        guard characters.count < Self.charactersMax else { return }
        if cursor > 0 {
            let joined = String(characters[cursor - 1]) + String(character)
            if joined.count == 1, let whole = joined.first {
                characters[cursor - 1] = whole
                return
            }
        }
        characters.insert(character, at: cursor)
        cursor += 1
    }

    private mutating func delete(_ range: Range<Int>) {
        let range = range.clamped(to: 0..<characters.count)
        characters.removeSubrange(range)
        if !range.isEmpty { cursor = range.lowerBound }
    }

    private var wordStart: Int {
        var start = cursor
        while start > 0, characters[start - 1] == " " { start -= 1 }
        while start > 0, characters[start - 1] != " " { start -= 1 }
        return start
    }

    private mutating func recall(_ place: Int) {
        guard (0...history.count).contains(place) else { return }
        historyPlace = place
        characters = place < history.count ? Array(history[place]) : []
        cursor = characters.count
    }

    private mutating func submit() -> Event {
        let line = text
        if !line.isEmpty, history.last != line { history.append(line) }
        if history.count > Self.historyMax { history.removeFirst() }
        historyPlace = history.count
        characters = []
        cursor = 0
        return .submitted(line)
    }
}
