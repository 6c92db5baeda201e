/// A dictionary of a kind of which there are very many, mostly with an entry or two: those are kept in an array, which takes less than half as
/// much. More than `fewMost` are kept in a dictionary, until all have gone.
public struct SmallTable<Key: Hashable, Value> {
    public typealias Element = (key: Key, value: Value)

    @usableFromInline static var fewMost: Int { 4 }
    /// Empty while `many` is not.
    @usableFromInline var few: [Element] = []
    @usableFromInline var many: [Key: Value] = [:]

    @inlinable public init() {}

    @inlinable public var isEmpty: Bool { few.isEmpty && many.isEmpty }
    @inlinable public var count: Int { few.count + many.count }
    @inlinable public var keys: LazyMapSequence<Self, Key> { lazy.map { $0.key } }
    @inlinable public var values: LazyMapSequence<Self, Value> { lazy.map { $0.value } }

    @inlinable
    public subscript(key: Key) -> Value? {
        get { many.isEmpty ? place(of: key).map { few[$0].value } : many[key] }
        _modify {
            if many.isEmpty {
                // Taken out, so that it is changed in place and not copied.
                var value = takeFew(key)
                defer { if let value { add(value, for: key) } else { letGoOfStorage() } }
                yield &value
            } else {
                defer { letGoOfStorage() }
                yield &many[key]
            }
        }
    }

    @inlinable
    public subscript(key: Key, default fallback: @autoclosure () -> Value) -> Value {
        get { self[key] ?? fallback() }
        _modify {
            if many.isEmpty {
                var value = takeFew(key) ?? fallback()
                defer { add(value, for: key) }
                yield &value
            } else {
                yield &many[key, default: fallback()]
            }
        }
    }

    /// The value that it replaces, nil for none.
    @inlinable
    public mutating func updateValue(_ value: Value, forKey key: Key) -> Value? {
        guard many.isEmpty else { return many.updateValue(value, forKey: key) }
        let old = takeFew(key)
        add(value, for: key)
        return old
    }

    @inlinable
    public mutating func removeValue(forKey key: Key) -> Value? {
        defer { letGoOfStorage() }
        return many.isEmpty ? takeFew(key) : many.removeValue(forKey: key)
    }

    /// Keeps no storage.
    @inlinable public mutating func removeAll() { self = Self() }

    @inlinable
    func place(of key: Key) -> Int? { few.firstIndex { $0.key == key } }

    @inlinable
    mutating func takeFew(_ key: Key) -> Value? { place(of: key).map { few.remove(at: $0).value } }

    @inlinable
    mutating func letGoOfStorage() {
        if few.isEmpty { few = [] }
        if many.isEmpty { many = [:] }
    }

    /// - Parameter key: of no entry, while there are few.
    @inlinable
    mutating func add(_ value: consuming Value, for key: Key) {
        few.append((key, value))
        guard few.count > Self.fewMost else { return }
        many = Dictionary(few.map { ($0.key, $0.value) }) { $1 }
        few = []
    }
}

extension SmallTable: Sequence {
    public struct Iterator: IteratorProtocol {
        @usableFromInline var few: Array<SmallTable.Element>.Iterator
        @usableFromInline var many: Dictionary<Key, Value>.Iterator

        @inlinable
        init(_ table: SmallTable) {
            few = table.few.makeIterator()
            many = table.many.makeIterator()
        }

        @inlinable public mutating func next() -> SmallTable.Element? { few.next() ?? many.next() }
    }

    @inlinable public func makeIterator() -> Iterator { Iterator(self) }
    @inlinable public var underestimatedCount: Int { count }
}

extension SmallTable: Sendable where Key: Sendable, Value: Sendable {}
