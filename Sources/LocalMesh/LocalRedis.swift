import Foundation
import MeshCore

/// One redis-server as a child of this process, on a free port of loopback, with the append-only file that a mesh's stores have. It cannot outlive
/// this process.
public final class LocalRedis: Sendable {
    public let port: Int
    private let reservation: PortReservations
    private let child: ChildProcess
    private static let startTimeout = TimeSpan.seconds(10)

    private init(port: Int, reservation: PortReservations, child: ChildProcess) {
        self.port = port
        self.reservation = reservation
        self.child = child
    }

    /// - Parameter folder: exists; data and log go there.
    public static func start(in folder: String) async throws(LocalMeshError) -> LocalRedis {
        let reservation = try PortReservations.hold([(0, "Redis")])
        guard let port = reservation.ports.first else { throw .machine("no free port") }
        let arguments = [
            "--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--save", "", "--logfile", "",
        ]
        let command = ChildCommand(name: "redis", executable: "redis-server", arguments: arguments, log: folder + "/redis.log")
        let child = try await ChildProcess.start(command) { _, _ in }
        let redis = LocalRedis(port: port, reservation: reservation, child: child)
        try await redis.waitUntilReady()
        return redis
    }

    private func waitUntilReady() async throws(LocalMeshError) {
        let deadline = ContinuousClock.now + .milliseconds(Self.startTimeout.milliseconds)
        while await ReadinessProbe.redis(port: port) != .ready {
            guard child.status == nil, ContinuousClock.now < deadline else {
                child.signal(SIGKILL)
                throw .machine("redis-server does not start: " + LogTail.lines(of: child.command.log).joined(separator: "\n"))
            }
            _ = await child.waitForExit(timeout: .milliseconds(20))
        }
    }

    public func stop() async {
        child.signal(SIGKILL)
        _ = await child.waitForExit(timeout: .seconds(5))
        reservation.release()
    }
}
