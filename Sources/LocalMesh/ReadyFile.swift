import Foundation

/// What `--ready-file` holds: the whole mesh for programs that wait for it.
public struct ReadyFile: Codable, Hashable, Sendable {
    public struct Region: Codable, Hashable, Sendable {
        public var region: String
        public var nodes: [Node]
        /// Absent with the embedded store.
        public var redis: Redis?
    }

    public struct Node: Codable, Hashable, Sendable {
        public var node: String
        public var client: String
        public var ops: String
        public var mesh: String
        public var pid: Int32
    }

    public struct Redis: Codable, Hashable, Sendable {
        public var url: String
        public var pid: Int32
    }

    public var regions: [Region]
    public var tokenSecretFile: String
    /// The authority that signed all certificates, PEM. Absent when nothing is encrypted.
    public var ca: String?

    func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try MeshFiles.replace(path, with: encoder.encode(self))
    }
}
