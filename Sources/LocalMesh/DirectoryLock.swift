import Foundation
import Synchronization

/// Two meshes in one folder would write over each other's files. The kernel frees the lock with the process.
final class DirectoryLock: Sendable {
    private let descriptor: Mutex<Int32?>

    init(path: String, directory: String) throws(LocalMeshError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .machine("cannot open \(path): \(String(cString: strerror(errno)))") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw .machine("another mesh is running in \(directory): stop it, or choose another folder with --data")
        }
        self.descriptor = Mutex(descriptor)
    }

    func release() {
        descriptor.withLock { held in
            if let held { close(held) }
            held = nil
        }
    }

    deinit { release() }
}
