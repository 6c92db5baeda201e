/// What server and load have used up to a moment, or between two.
struct Usage {
    /// Calls of `send` by the server; nil, like its processor, if it is not ours to ask.
    private(set) var sends: UInt64?
    /// Publishes that the server has acknowledged, and the batches in which it has appended them.
    private(set) var acknowledged: UInt64 = 0
    private(set) var appendBatches: UInt64 = 0
    private(set) var serverNanoseconds: UInt64?
    private var loadNanoseconds: UInt64
    private var time: UInt64

    /// Up to now.
    init(_ server: ServerProcess?) throws {
        let counters = try server?.counters()
        sends = counters?.sent.sends
        acknowledged = counters?.sent.acknowledged ?? 0
        appendBatches = counters?.sent.appendBatches ?? 0
        serverNanoseconds = counters?.processorNanoseconds
        loadNanoseconds = Machine.processorNanoseconds()
        time = Machine.now()
    }

    func since(_ earlier: Usage) -> Usage {
        var difference = self
        if let now = sends, let before = earlier.sends { difference.sends = now - before }
        if let now = serverNanoseconds, let before = earlier.serverNanoseconds { difference.serverNanoseconds = now - before }
        difference.acknowledged -= earlier.acknowledged
        difference.appendBatches -= earlier.appendBatches
        difference.loadNanoseconds -= earlier.loadNanoseconds
        difference.time -= earlier.time
        return difference
    }

    var seconds: Double { Double(time) / 1e9 }
    /// Of one processor.
    var serverShare: Double? { serverNanoseconds.map { Double($0) / Double(max(1, time)) } }
    var loadShare: Double { Double(loadNanoseconds) / Double(max(1, time)) }
}
