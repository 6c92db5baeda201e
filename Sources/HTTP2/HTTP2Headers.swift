/// A block of header fields in the order of the wire, pseudo-header fields (RFC 9113, section 8.3) among them. Names are lower case.
public struct HTTP2Headers: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    public struct Field: Hashable, Sendable {
        public var name: String
        public var value: String
    }

    public private(set) var fields: [Field] = []

    public init() {}

    public init(dictionaryLiteral elements: (String, String)...) {
        for (name, value) in elements { add(name, value) }
    }

    public mutating func add(_ name: String, _ value: String) {
        fields.append(Field(name: name, value: value))
    }

    /// The first value of a name.
    public subscript(_ name: String) -> String? { fields.first { $0.name == name }?.value }

    /// Every value of a name, lists taken apart at their commas.
    public func list(_ name: String) -> [String] {
        fields.filter { $0.name == name }
            .flatMap { $0.value.split(separator: ",") }
            .map { String($0.trimming(while: { $0 == " " || $0 == "\t" })) }
            .filter { !$0.isEmpty }
    }
}

extension Substring {
    fileprivate func trimming(while isSpace: (Character) -> Bool) -> Substring {
        var text = drop(while: isSpace)
        while let last = text.last, isSpace(last) { text.removeLast() }
        return text
    }
}
