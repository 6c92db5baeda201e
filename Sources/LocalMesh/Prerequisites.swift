import Foundation

/// Looks for what a mesh needs before anything starts, so that what is missing is named and not guessed from a log.
enum Prerequisites {
    static func check(_ options: LocalMeshOptions, binary: String) throws(LocalMeshError) {
        guard FileManager.default.isExecutableFile(atPath: binary) else { throw .machine("\(binary) cannot be executed") }
        guard find("setpriv") else { throw .machine("setpriv is not installed: apt-get install util-linux") }
        guard options.store == .embedded || find("redis-server") else {
            throw .machine("redis-server is not installed: apt-get install redis-server, or use --store embedded")
        }
    }

    private static func find(_ program: String) -> Bool {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        return path.split(separator: ":").contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(program)") }
    }
}
