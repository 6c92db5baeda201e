import MeshCore

/// Numbers that both stores accept. Redis scripts compute with doubles, which are exact up to 2^53 − 1.
enum StoreNumber {
    static let most: UInt64 = 1 << 53 - 1

    static func check(_ numbers: UInt64..., most: UInt64 = most) throws(StoreError) {
        for number in numbers where number > most { throw .unexpectedReply("\(number) is above \(most)") }
    }

    static func check(_ request: OpenLog) throws(StoreError) {
        // One below, so that the next epoch and the next seq fit too.
        try check(request.epoch, request.knownHead.epoch, request.knownHead.seq, most: most - 1)
        try check(request.fence.viewEpoch, request.fence.rosterVersion)
    }
}
