import Yams

/// A mapping of a configuration file that is read field by field. What nobody asked for is reported by `finish()`.
struct Section {
    let place: Place
    let findings: Findings
    private var fields: [String: Located<Node>] = [:]
    private var known: Set<String> = []

    /// Nil, and reported, for a node that is not a mapping.
    init?(_ node: Node, at place: Place, _ findings: Findings) {
        self.place = place
        self.findings = findings
        guard case .mapping(let mapping) = node else {
            let field = place.field.isEmpty ? "file" : place.field
            findings.report("must be a mapping of fields", at: Place(file: place.file, line: place.line, field: field))
            return nil
        }
        for (key, value) in mapping {
            guard let name = key.string else {
                findings.report("a field name must be text", at: place)
                continue
            }
            let line = key.mark?.line ?? place.line
            fields[name] = Located(value: value, place: Place(file: place.file, line: line, field: path(to: name)))
        }
    }

    private func path(to name: String) -> String { place.field.isEmpty ? name : "\(place.field).\(name)" }

    /// The place of a field, or of the section when the field is absent, so that an error always has a line.
    func place(of name: String) -> Place {
        fields[name]?.place ?? Place(file: place.file, line: place.line, field: path(to: name))
    }

    func has(_ name: String) -> Bool { fields[name] != nil }

    // MARK: Scalars

    /// Nil when the field is absent or, then reported, when `parse` refuses it.
    mutating func optional<Value>(_ name: String, _ parse: (String) throws(InvalidValue) -> Value) -> Located<Value>? {
        known.insert(name)
        guard let field = fields[name] else { return nil }
        return scalar(field, parse)
    }

    /// As `optional`, and absence is reported too.
    mutating func required<Value>(_ name: String, _ parse: (String) throws(InvalidValue) -> Value) -> Located<Value>? {
        if !has(name) { findings.report("is missing", at: place(of: name)) }
        return optional(name, parse)
    }

    private func scalar<Value>(_ field: Located<Node>, _ parse: (String) throws(InvalidValue) -> Value) -> Located<Value>? {
        guard case .scalar(let scalar) = field.value else {
            findings.report("must be a single value", at: field.place)
            return nil
        }
        guard !scalar.string.isEmpty else {
            findings.report("has no value", at: field.place)
            return nil
        }
        do throws(InvalidValue) {
            return Located(value: try parse(scalar.string), place: field.place)
        } catch {
            findings.report(error.message, at: field.place)
            return nil
        }
    }

    // MARK: Nested

    mutating func section(_ name: String) -> Section? {
        known.insert(name)
        return fields[name].flatMap { Section($0.value, at: $0.place, findings) }
    }

    mutating func requiredSection(_ name: String) -> Section? {
        if !has(name) { findings.report("is missing", at: place(of: name)) }
        return section(name)
    }

    /// The mappings of a list, in order. Entries that are not mappings are reported and left out.
    mutating func sections(_ name: String) -> [Section] {
        (items(name) ?? []).compactMap { Section($0.value, at: $0.place, findings) }
    }

    /// The values of a list, in order; nil for what is not a list. Entries that `parse` refuses are reported and left out.
    mutating func values<Value>(_ name: String, _ parse: (String) throws(InvalidValue) -> Value) -> [Located<Value>]? {
        items(name)?.compactMap { scalar($0, parse) }
    }

    private mutating func items(_ name: String) -> [Located<Node>]? {
        known.insert(name)
        guard let field = fields[name] else { return nil }
        guard case .sequence(let sequence) = field.value else {
            findings.report("must be a list", at: field.place)
            return nil
        }
        return sequence.enumerated().map { index, node in
            let line = node.mark?.line ?? field.place.line
            return Located(value: node, place: Place(file: place.file, line: line, field: "\(field.place.field)[\(index)]"))
        }
    }

    /// The names of all fields, in the order of the file, for sections whose field names are free.
    var names: [String] { fields.keys.sorted { (place(of: $0).line, $0) < (place(of: $1).line, $1) } }

    // MARK: The end

    /// Reports every field that nothing asked for: a misspelt limit must not silently leave its default in force.
    func finish() {
        for (name, field) in fields where !known.contains(name) {
            let hint = Spelling.nearest(to: name, in: known).map { "; did you mean `\($0)`?" } ?? ""
            findings.report("unknown field\(hint)", at: field.place)
        }
    }
}

/// Why a value is refused. The text follows `file:line: field: `.
struct InvalidValue: Error {
    let message: String
    init(_ message: String) { self.message = message }
}
