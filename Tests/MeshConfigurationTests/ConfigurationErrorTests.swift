import MeshConfiguration
import Testing

/// One mistake, and the one line that must name it.
struct Mistake: Sendable, CustomTestStringConvertible {
    enum File: Sendable { case mesh, region }
    let file: File
    let text: String
    let broken: String
    let error: String
    var testDescription: String { error }

    init(_ file: File, _ text: String, _ broken: String, _ error: String) {
        self.file = file
        self.text = text
        self.broken = broken
        self.error = error
    }
}

@Suite struct ConfigurationErrorTests {
    static let regionMistakes: [Mistake] = [
        .init(
            .region, "region: eu-west", "region: eu-north",
            "eu-west.yaml:1: region: eu-north is not a region of the mesh, which has eu-west, us-east"),
        .init(.region, "region: eu-west\n", "", "eu-west.yaml:1: region: is missing"),
        .init(.region, "mesh: mesh.yaml", "mesh: other.yaml", "eu-west.yaml:2: mesh: cannot read FOLDER/other.yaml: no such file"),
        .init(
            .region, "node: eu-west-0", "node: us-east-0",
            "eu-west.yaml:3: node: us-east-0 is not among the nodes of eu-west: eu-west-0, eu-west-1"),
        .init(.region, "node: eu-west-0\n", "", "eu-west.yaml:1: node: the region has several nodes: name one here or with --node"),
        .init(
            .region, "node: eu-west-0", "node: eu west",
            "eu-west.yaml:3: node: `eu west` is not a name: 1 to 63 letters, digits, `-`, `_` or `.`, beginning with a letter or digit"),
        .init(.region, "node: eu-west-0", "node:", "eu-west.yaml:3: node: has no value"),
        .init(.region, "node: eu-west-0", "node: [a]", "eu-west.yaml:3: node: must be a single value"),
        .init(.region, "kind: redis", "kind: memory", "eu-west.yaml:5: store.kind: `memory` is none of redis, embedded"),
        .init(.region, "  redis: 127.0.0.1:7400\n", "", "eu-west.yaml:4: store.redis: is missing"),
        .init(
            .region, "127.0.0.1:7400", "127.0.0.1",
            "eu-west.yaml:6: store.redis: `127.0.0.1` is not host:port with a port from 1 to 65535"),
        .init(
            .region, "127.0.0.1:7400", "127.0.0.1:70000",
            "eu-west.yaml:6: store.redis: `127.0.0.1:70000` is not host:port with a port from 1 to 65535"),
        .init(
            .region, "127.0.0.1:7400", "::1:7400",
            "eu-west.yaml:6: store.redis: `::1:7400`: an IPv6 address is written in brackets, [::1]:7100"),
        .init(.region, "cells: 3", "cells: 0", "eu-west.yaml:7: cells: 0 is outside 1 to 256"),
        .init(.region, "cells: 3", "cells: three", "eu-west.yaml:7: cells: `three` is not a whole number"),
        .init(.region, "cells: 3", "cell: 3", "eu-west.yaml:7: cell: unknown field; did you mean `cells`?"),
        .init(
            .region, "level: debug", "level: loud",
            "eu-west.yaml:9: logging.level: `loud` is none of trace, debug, info, notice, warning, error, critical"),
        .init(.region, "format: json", "format: xml", "eu-west.yaml:10: logging.format: `xml` is none of text, json"),
        .init(
            .region, "maxFrameBytes: 32KiB", "maxFrameByte: 32KiB",
            "eu-west.yaml:12: limits.maxFrameByte: unknown field; did you mean `maxFrameBytes`?"),
        .init(
            .region, "maxFrameBytes: 32KiB", "maxFrameBytes: 32 flies",
            "eu-west.yaml:12: limits.maxFrameBytes: `32 flies` is not a size such as 65536, 64KiB or 4MiB"),
        .init(
            .region, "maxFrameBytes: 32KiB", "maxFrameBytes: 99999999GiB",
            "eu-west.yaml:12: limits.maxFrameBytes: 107374181326258176 bytes is outside 1024 to 1048576"),
        .init(
            .region, "heartbeatDefault: 20s", "heartbeatDefault: 20",
            "eu-west.yaml:15: timings.heartbeatDefault: `20` is not a time with its unit, such as 500ms, 10s or 5m"),
        .init(
            .region, "heartbeatDefault: 20s", "heartbeatDefault: 61s",
            "eu-west.yaml:15: timings.heartbeatDefault: 61000 ms is outside 5000 ms to 60000 ms"),
        .init(
            .region, "  kind: redis\n", "  kind: redis\n  kind: redis\n",
            "eu-west.yaml:5: syntax: `kind` given more than once in this mapping"),
        .init(.region, "timings:", "timings: [", "eu-west.yaml:16: syntax: did not find expected ',' or ']'"),
        .init(
            .region, "limits:\n  maxFrameBytes: 32KiB\n  connectionsMax: 1_000", "limits: 3",
            "eu-west.yaml:11: limits: must be a mapping of fields"),
        .init(
            .region, "kind: redis\n  redis: 127.0.0.1:7400", "kind: embedded",
            "eu-west.yaml:4: store: the embedded store is the memory of one process, and eu-west has 2 nodes"),
    ]

    static let meshMistakes: [Mistake] = [
        .init(.mesh, "name: test-mesh\n", "", "mesh.yaml:1: name: is missing"),
        .init(
            .mesh, "secretFile: token.secret", "secretFile: lost.secret",
            "mesh.yaml:3: token.secretFile: cannot read FOLDER/lost.secret: no such file"),
        .init(.mesh, "  eu: [eu-west]", "  eu: [mars]", "mesh.yaml:5: placements.eu[0]: names the unknown region mars"),
        .init(
            .mesh, "  eu: [eu-west]", "  eu: [eu-west, eu-west]", "mesh.yaml:5: placements.eu[1]: region eu-west is already given in line 5"
        ),
        .init(.mesh, "  eu: [eu-west]", "  eu: []", "mesh.yaml:5: placements.eu: needs at least one region with a weight above 0"),
        .init(.mesh, "  eu: [eu-west]", "  eu: eu-west", "mesh.yaml:5: placements.eu: must be a list"),
        .init(.mesh, "weight: 100", "weight: -1", "mesh.yaml:8: regions[0].weight: -1 is outside 0 to 10000"),
        .init(
            .mesh, "- node: eu-west-1", "- node: eu-west-0",
            "mesh.yaml:14: regions[0].nodes[1].node: node eu-west-0 is already given in line 10"),
        .init(
            .mesh, "127.0.0.1:7101", "127.0.0.1:7100",
            "mesh.yaml:15: regions[0].nodes[1].client: 127.0.0.1:7100 is already used by regions[0].nodes[0].client in line 11"),
        .init(
            .mesh, "127.0.0.1:7110", "127.0.0.1:7300",
            "mesh.yaml:22: regions[1].nodes[0].client: 127.0.0.1:7300 is already used by regions[0].nodes[0].mesh in line 13"),
        .init(
            .mesh, "https://chat.example/", "chat.example",
            "mesh.yaml:18: regions[0].nodes[1].clientURL: `chat.example` is not an http:// or https:// URL"),
        .init(
            .mesh, "  - region: us-east", "  - region: eu-west",
            "mesh.yaml:19: regions[1].region: region eu-west is already given in line 7"),
        .init(.mesh, "operations: 127.0.0.1:7200\n", "\n", "mesh.yaml:10: regions[0].nodes[0].operations: is missing"),
        .init(.mesh, "name: test-mesh", "name: test-mesh\ncolour: red", "mesh.yaml:2: colour: unknown field"),
    ]

    static let relations: [(section: String, error: String)] = [
        (
            "timings: {linkSilence: 1s, linkPing: 500ms}",
            "timings.linkSilence: linkSilence must be more than 2 x linkPing: one late ping must not cut a link"
        ),
        ("timings: {redialLeast: 3s}", "timings.redialLeast: redialLeast must not exceed redialMost"),
        ("timings: {redialMost: 50ms}", "timings.redialMost: redialLeast must not exceed redialMost"),
        (
            "timings: {requestDeadline: 2s}",
            "timings.requestDeadline: storeDeadline must be less than requestDeadline: whoever asks must hear "
                + "of a slow store before giving up"
        ),
        ("timings: {publishDeadline: 4s}", "timings.publishDeadline: requestDeadline must not exceed publishDeadline"),
        (
            "timings: {nodeLease: 4s}",
            "timings.nodeLease: nodeLease must be more than 2 x storeDeadline: one slow renewal must not end a lease"
        ),
        ("timings: {presenceGrace: 100ms}", "timings.presenceGrace: presenceCoalesce must be less than presenceGrace"),
        (
            "timings: {presenceGrace: 7s}",
            "timings.presenceGrace: linkSilence + nodeDown + presenceGrace must not exceed 10 s: users of a "
                + "crashed node are offline by then"
        ),
        ("limits: {maxHelloBytes: 16KiB}", "limits.maxHelloBytes: maxFrameBytes must not exceed maxHelloBytes"),
        (
            "limits: {maxServerFrameBytes: 16KiB}",
            "limits.maxServerFrameBytes: maxFrameBytes must not exceed maxServerFrameBytes: what a client "
                + "publishes must fit into what others are sent"
        ),
        (
            "limits: {outboxBytesMax: 512KiB}",
            "limits.outboxBytesMax: maxServerFrameBytes must not exceed outboxBytesMax: one frame must not make its reader a slow consumer"
        ),
        (
            "limits: {meshFrameBytesMax: 512KiB}",
            "limits.meshFrameBytesMax: maxServerFrameBytes must not exceed meshFrameBytesMax: a link carries what a client is sent"
        ),
        ("limits: {linkQueueBytesMax: 1MiB}", "limits.linkQueueBytesMax: meshFrameBytesMax must not exceed linkQueueBytesMax"),
        (
            "limits: {maxFrameBytes: 256KiB, publishBytesPerRoomMax: 128KiB}",
            "limits.maxFrameBytes: maxFrameBytes must not exceed publishBytesPerRoomMax"
        ),
    ]

    @Test(arguments: regionMistakes + meshMistakes)
    func eachMistakeIsNamedWithItsLine(mistake: Mistake) throws {
        let original = mistake.file == .mesh ? Files.mesh : Files.region
        #expect(original.contains(mistake.text), "the mistake is not made in the file")
        let broken = original.replacing(mistake.text, with: mistake.broken, maxReplacements: 1)
        let files = mistake.file == .mesh ? try Files(mesh: broken) : try Files(region: broken)
        #expect(files.errors() == [mistake.error.replacing("FOLDER/", with: "")])
    }

    @Test(arguments: relations)
    func relationsBetweenOptionsAreChecked(section: String, error: String) throws {
        let region = "region: us-east\nmesh: mesh.yaml\nstore: {kind: embedded}\n" + section
        #expect(try Files(region: region).errors() == ["eu-west.yaml:4: \(error)"])
    }

    @Test(arguments: [
        ("", "the secret is empty"), (" \n\n", "the secret is empty"),
        ("short\n", "the secret has 5 bytes; HS256 needs at least 32"),
    ])
    func aSecretThatProtectsNothingIsRefused(secret: String, error: String) throws {
        #expect(try Files(secret: secret).errors() == ["mesh.yaml:3: token.secretFile: \(error)"])
    }

    @Test func allErrorsOfBothFilesAreCollectedInOrder() throws {
        let mesh = Files.mesh.replacing("weight: 100", with: "weight: heavy").replacing("127.0.0.1:7110", with: "nowhere")
        let region = Files.region.replacing("cells: 3", with: "cells: 999").replacing("format: json", with: "colour: red")
        #expect(
            try Files(mesh: mesh, region: region).errors() == [
                "eu-west.yaml:7: cells: 999 is outside 1 to 256",
                "eu-west.yaml:10: logging.colour: unknown field",
                "mesh.yaml:8: regions[0].weight: `heavy` is not a whole number",
                "mesh.yaml:22: regions[1].nodes[0].client: `nowhere` is not host:port with a port from 1 to 65535",
            ])
    }

    @Test func aMissingFileAnEmptyFileAndRubbishAreErrors() throws {
        let files = try Files()
        let missing = ConfigurationLoader.load(path: files.folder + "/none.yaml", node: nil)
        guard case .failure(let errors) = missing else {
            Issue.record("a missing file was read")
            return
        }
        #expect(errors.description == "\(files.folder)/none.yaml:1: file: cannot read \(files.folder)/none.yaml: no such file")
        #expect(try Files(region: "").errors() == ["eu-west.yaml:1: file: is empty"])
        #expect(try Files(region: "# nothing\n").errors() == ["eu-west.yaml:1: file: is empty"])
        #expect(try Files(region: "- a\n- b\n").errors() == ["eu-west.yaml:1: file: must be a mapping of fields"])
        #expect(try Files(region: "a: \u{0}\n").errors().count == 1)
        #expect(try Files(region: "region: eu-west\n---\nregion: us-east\n").errors().count == 1)
    }
}
