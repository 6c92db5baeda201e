/// What a child of a room wants to flow down to it. Nothing flows without its bit.
public struct Interest: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let messages = Interest(rawValue: 1)
    public static let presence = Interest(rawValue: 2)
    public static let typing = Interest(rawValue: 4)
    public static let receipts = Interest(rawValue: 8)
}

/// How many below want each thing: the first adds interest, the last one leaving removes it.
public struct InterestCount: Sendable {
    private var counts: (messages: Int32, presence: Int32, typing: Int32, receipts: Int32) = (0, 0, 0, 0)

    public init() {}

    public mutating func add(_ interest: Interest) { change(interest, by: 1) }
    public mutating func remove(_ interest: Interest) { change(interest, by: -1) }

    private mutating func change(_ interest: Interest, by step: Int32) {
        if interest.contains(.messages) { counts.messages += step }
        if interest.contains(.presence) { counts.presence += step }
        if interest.contains(.typing) { counts.typing += step }
        if interest.contains(.receipts) { counts.receipts += step }
    }

    public var union: Interest {
        var result: Interest = []
        if counts.messages > 0 { result.insert(.messages) }
        if counts.presence > 0 { result.insert(.presence) }
        if counts.typing > 0 { result.insert(.typing) }
        if counts.receipts > 0 { result.insert(.receipts) }
        return result
    }
}
