import Transport
import Wire

/// The subscribers of one format in a room of a cell, and the batch that all of them are sent.
struct FanOutLane {
    let format: FrameFormat
    /// Unmanaged: the cell's session table keeps a session, and with it its connection, alive until after it has left its rooms
    /// (`ClientSession.end`), so walking over them costs no reference counting.
    var recipients: ContiguousArray<Unmanaged<ClientConnection>> = []
    var batch: FrameBatch

    init(_ format: FrameFormat, deflater: WebSocketDeflater?) {
        self.format = format
        batch = FrameBatch(format, deflater: deflater)
    }

    mutating func remove(_ connection: ClientConnection) {
        let pointer = Unmanaged.passUnretained(connection).toOpaque()
        guard let index = recipients.firstIndex(where: { $0.toOpaque() == pointer }) else { return }
        recipients.swapAt(index, recipients.count - 1)
        recipients.removeLast()
    }

    func touch(tick: UInt64) {
        for index in recipients.indices { recipients[index]._withUnsafeGuaranteedRef { $0.touch(tick: tick) } }
    }

    @inline(__always)
    func deliver(isEphemeral: Bool, queueingFlushesOn cell: Cell) {
        batch.withBytes { bytes in
            for index in recipients.indices {
                recipients[index]._withUnsafeGuaranteedRef { if $0.deliver(bytes, isEphemeral: isEphemeral) { cell.queueFlush($0) } }
            }
        }
    }
}
