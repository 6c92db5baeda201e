import Foundation
import MeshCore
import Testing

@testable import LocalMesh

@Suite struct ReportTests {
    private func region(_ name: String, _ port: Int, redis: Bool = true) -> LocalMesh.Region {
        let id = RegionID(name)
        let node = LocalMesh.Node(
            node: NodeID(region: id, name: "\(name)-0"), clientURL: "http://127.0.0.1:\(port)",
            operationsURL: "http://127.0.0.1:\(port + 100)",
            mesh: "127.0.0.1:\(port + 200)", pid: 1, isRunning: true)
        let store = redis ? LocalMesh.Redis(url: "redis://127.0.0.1:\(port + 300)", port: port + 300, pid: 2, isRunning: true) : nil
        return LocalMesh.Region(region: id, nodes: [node], redis: store)
    }

    @Test func theTableIsAligned() {
        let table = MeshReport.table([region("eu-west", 7100), region("ap-south", 7120, redis: false)])
        #expect(
            table == """
                region    node        client                 operations             redis
                eu-west   eu-west-0   http://127.0.0.1:7100  http://127.0.0.1:7200  redis://127.0.0.1:7400
                ap-south  ap-south-0  http://127.0.0.1:7120  http://127.0.0.1:7220  embedded
                """)
    }

    @Test func theTwoChatsAreInTwoRegionsAndCanBePasted() {
        let two = MeshReport.chatCommands(
            [region("eu-west", 7100), region("us-east", 7110)], invokedAs: "./heliograph", secretFile: "/a b/token.secret")
        #expect(
            two == [
                "./heliograph chat --url http://127.0.0.1:7100 --user alice --room lobby --secret-file '/a b/token.secret'",
                "./heliograph chat --url http://127.0.0.1:7110 --user bob --room lobby --secret-file '/a b/token.secret'",
            ])
        #expect(MeshReport.chatCommands([region("eu-west", 7100)], invokedAs: "h", secretFile: "s").count == 2)
        #expect(MeshReport.quoted("it's") == #"'it'\''s'"#)
        #expect(MeshReport.quoted("$(boom)") == "'$(boom)'")
    }

    @Test func readinessIsReadFromTheAnswer() {
        let body =
            #"{"ready":false,"checks":[{"name":"redis","ok":false,"detail":"refused"},"#
            + #"{"name":"mesh","ok":true},{"name":"lease","ok":false}]}"#
        #expect(ReadinessProbe.read("HTTP/1.1 200 OK\r\n\r\n{}") == .ready)
        #expect(ReadinessProbe.read("HTTP/1.1 503 Service Unavailable\r\n\r\n\(body)") == .notYet("redis: refused, lease"))
        #expect(ReadinessProbe.read("HTTP/1.1 503 Service Unavailable\r\n\r\n}{") == .notYet("answers 503"))
        #expect(ReadinessProbe.read("") == .notYet("does not answer in HTTP"))
    }

    @Test func theEndOfALargeLogIsRead() throws {
        let folder = try Folder()
        try folder.write((0..<50_000).map { "line \($0)\n" }.joined(), "large.log")
        #expect(LogTail.lines(of: folder.path + "/large.log") == (49_980..<50_000).map { "line \($0)" })
        #expect(LogTail.lines(of: folder.path + "/none.log").isEmpty)
    }

    @Test func reservedPortsAreRefusedToOthersWithTheirPurpose() throws {
        let held = try PortReservations.hold([(0, "one"), (0, "two")])
        #expect(Set(held.ports).count == 2 && !held.ports.contains(0))
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        #expect(listen(listener, 1) == 0)
        let busy = try #require(Self.port(of: listener))
        #expect(throws: LocalMeshError.portsInUse(["\(busy) (eu-west-0 client)"])) {
            try PortReservations.hold([(busy, "eu-west-0 client"), (0, "other")])
        }
        held.release()
    }

    private static func port(of descriptor: Int32) -> Int? {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return result == 0 ? Int(UInt16(bigEndian: address.sin_port)) : nil
    }
}
