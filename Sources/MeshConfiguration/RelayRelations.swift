import MeshCore

/// What must hold between options, whatever their ranges. The defaults satisfy all of it.
enum RelayRelations {
    struct Relation<Options>: Sendable {
        /// The fields it speaks of. The error stands at the first one that the file sets.
        let fields: [String]
        let message: String
        let holds: @Sendable (Options) -> Bool
    }

    static let limits: [Relation<RelayLimits>] = [
        .init(fields: ["maxFrameBytes", "maxHelloBytes"], message: "maxFrameBytes must not exceed maxHelloBytes") {
            $0.maxFrameBytes <= $0.maxHelloBytes
        },
        .init(
            fields: ["maxFrameBytes", "maxServerFrameBytes"],
            message: "maxFrameBytes must not exceed maxServerFrameBytes: what a client publishes must fit into what others are sent"
        ) { $0.maxFrameBytes <= $0.maxServerFrameBytes },
        .init(
            fields: ["maxServerFrameBytes", "outboxBytesMax"],
            message: "maxServerFrameBytes must not exceed outboxBytesMax: one frame must not make its reader a slow consumer"
        ) { $0.maxServerFrameBytes <= $0.outboxBytesMax },
        .init(
            fields: ["maxServerFrameBytes", "meshFrameBytesMax"],
            message: "maxServerFrameBytes must not exceed meshFrameBytesMax: a link carries what a client is sent"
        ) { $0.maxServerFrameBytes <= $0.meshFrameBytesMax },
        .init(fields: ["meshFrameBytesMax", "linkQueueBytesMax"], message: "meshFrameBytesMax must not exceed linkQueueBytesMax") {
            $0.meshFrameBytesMax <= $0.linkQueueBytesMax
        },
        .init(fields: ["maxFrameBytes", "publishBytesPerRoomMax"], message: "maxFrameBytes must not exceed publishBytesPerRoomMax") {
            $0.maxFrameBytes <= $0.publishBytesPerRoomMax
        },
    ]

    static let timings: [Relation<RelayTimings>] = [
        .init(
            fields: ["linkSilence", "linkPing"],
            message: "linkSilence must be more than 2 x linkPing: one late ping must not cut a link"
        ) { $0.linkSilence > $0.linkPing * 2 },
        .init(fields: ["redialLeast", "redialMost"], message: "redialLeast must not exceed redialMost") { $0.redialLeast <= $0.redialMost },
        .init(
            fields: ["storeDeadline", "requestDeadline"],
            message: "storeDeadline must be less than requestDeadline: whoever asks must hear of a slow store before giving up"
        ) { $0.storeDeadline < $0.requestDeadline },
        .init(fields: ["requestDeadline", "publishDeadline"], message: "requestDeadline must not exceed publishDeadline") {
            $0.requestDeadline <= $0.publishDeadline
        },
        .init(
            fields: ["nodeLease", "storeDeadline"],
            message: "nodeLease must be more than 2 x storeDeadline: one slow renewal must not end a lease"
        ) { $0.nodeLease > $0.storeDeadline * 2 },
        .init(fields: ["presenceCoalesce", "presenceGrace"], message: "presenceCoalesce must be less than presenceGrace") {
            $0.presenceCoalesce < $0.presenceGrace
        },
        .init(
            fields: ["presenceGrace", "linkSilence", "nodeDown"],
            message: "linkSilence + nodeDown + presenceGrace must not exceed 10 s: users of a crashed node are offline by then"
        ) { $0.linkSilence + $0.nodeDown + $0.presenceGrace <= .seconds(10) },
    ]

    static func check<Options>(_ options: Options, _ relations: [Relation<Options>], in section: Section) {
        for relation in relations where !relation.holds(options) {
            let field = relation.fields.first(where: section.has) ?? relation.fields[0]
            section.findings.report(relation.message, at: section.place(of: field))
        }
    }
}
