import MeshCore
import NIOCore

extension EmbeddedStore {
    public func markPush(_ mark: PushMark) -> EventLoopFuture<Void> { answer { $0.pushes.mark(mark, now: data.clock()) } }

    public func overduePushMarks(age: TimeSpan, limit: Int) -> EventLoopFuture<[PushMark]> {
        answer { $0.pushes.overdueMarks(age: age, limit: limit, now: data.clock()) }
    }

    public func queuePushes(_ batch: PushBatch) -> EventLoopFuture<Int> { answer { $0.pushes.queue(batch, now: data.clock()) } }

    public func claimPushes(for service: String, limit: Int, lease: TimeSpan) -> EventLoopFuture<[ClaimedPush]> {
        answer { $0.pushes.claim(service, limit: limit, lease: lease, now: data.clock()) }
    }

    public func settlePushes(for service: String, _ settled: [SettledPush]) -> EventLoopFuture<Void> {
        answer { $0.pushes.settle(service, settled, now: data.clock()) }
    }

    public func pushQueue(of service: String) -> EventLoopFuture<PushQueueState> {
        answer { $0.pushes.state(service, now: data.clock()) }
    }

    public func forgetPushes(of user: String, services: [String]) -> EventLoopFuture<Void> {
        answer { $0.pushes.forgetQueued(for: user, services: services) }
    }

    // MARK: Devices

    public func setPushDevice(
        _ device: String, of user: String, to value: StoredPushDevice, most: Int
    ) -> EventLoopFuture<Bool> {
        answer { $0.pushes.setDevice(device, of: user, to: value, most: most) }
    }

    public func removePushDevice(_ device: String, of user: String, token: String?) -> EventLoopFuture<Void> {
        answer { $0.pushes.removeDevice(device, of: user, token: token) }
    }

    public func pushDevices(of user: String) -> EventLoopFuture<[String: StoredPushDevice]> {
        answer { $0.pushes.devices(of: user) }
    }
}
