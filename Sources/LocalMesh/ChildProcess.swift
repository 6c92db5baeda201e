import Foundation
import MeshCore
import Synchronization

/// How a process ended.
public enum ChildExit: Hashable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)

    init(waitStatus: Int32) {
        let signal = waitStatus & 0x7F
        self = signal == 0 ? .exited((waitStatus >> 8) & 0xFF) : .signalled(signal)
    }

    public var description: String {
        switch self {
        case .exited(let code): "exited with code \(code)"
        case .signalled(let signal): "was killed by signal \(signal)"
        }
    }
}

struct ChildCommand: Sendable {
    var name: String
    var executable: String
    var arguments: [String]
    /// Standard output and error are appended here.
    var log: String
}

/// A running child, the signals to it and its end. It cannot outlive this process, however this process ends.
final class ChildProcess: Sendable {
    let command: ChildCommand
    let pid: pid_t
    private let state = Mutex(State())

    private struct State {
        var status: ChildExit?
        var waiters: [UInt64: CheckedContinuation<Bool, Never>] = [:]
        var nextWaiter: UInt64 = 0
    }

    /// - Parameter onExit: called once, on a thread of its own, after the process has ended.
    static func start(
        _ command: ChildCommand, onExit: @escaping @Sendable (ChildProcess, ChildExit) -> Void
    ) async throws(LocalMeshError) -> ChildProcess {
        let supervisor = getpid()
        let result = await SpawnThread.shared.run { Spawn.spawn(command, supervisor: supervisor) }
        switch result {
        case .failure(let fault): throw .machine("cannot start \(command.name): \(fault)")
        case .success(let pid):
            let child = ChildProcess(command: command, pid: pid)
            Thread { child.reap(onExit) }.start()
            return child
        }
    }

    private init(command: ChildCommand, pid: pid_t) {
        self.command = command
        self.pid = pid
    }

    /// Nil while it runs.
    var status: ChildExit? { state.withLock { $0.status } }

    /// False if it has ended already: its number may belong to another process by now, so the check and the signal are one step.
    @discardableResult func signal(_ signal: Int32) -> Bool {
        state.withLock { $0.status == nil && kill(pid, signal) == 0 }
    }

    /// Waits for the end without collecting it, then collects it under the lock that `signal` takes.
    private func reap(_ onExit: @Sendable (ChildProcess, ChildExit) -> Void) {
        var information = siginfo_t()
        while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        let (status, waiters) = state.withLock { state in
            var waitStatus: Int32 = 0
            while waitpid(pid, &waitStatus, 0) < 0, errno == EINTR {}
            let status = ChildExit(waitStatus: waitStatus)
            state.status = status
            defer { state.waiters = [:] }
            return (status, state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: true) }
        onExit(self, status)
    }

    /// True when it has ended within `timeout`. Not cut short by cancellation: whoever stops children must see them end.
    func waitForExit(timeout: TimeSpan) async -> Bool {
        await withCheckedContinuation { continuation in
            let waiter: UInt64? = state.withLock { state in
                guard state.status == nil else { return nil }
                state.nextWaiter += 1
                state.waiters[state.nextWaiter] = continuation
                return state.nextWaiter
            }
            guard let waiter else { return continuation.resume(returning: true) }
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(timeout.milliseconds)) {
                self.state.withLock { $0.waiters.removeValue(forKey: waiter) }?.resume(returning: false)
            }
        }
    }
}

/// The one place that calls `posix_spawn`.
private enum Spawn {
    struct Fault: Error, CustomStringConvertible {
        let code: Int32
        var description: String { String(cString: strerror(code)) }
    }

    /// `setpriv` asks the kernel for SIGKILL at the death of the spawning thread. Should that thread have died before, the
    /// shell sees another parent than it was told and goes. Both then become the program, so the pid is the program's.
    private static let guardScript = #"[ "$PPID" = "$1" ] || exit 75; shift; exec "$@""#

    static func spawn(_ command: ChildCommand, supervisor: pid_t) -> Result<pid_t, Fault> {
        let wrapper = ["setpriv", "--pdeathsig", "KILL", "--", "/bin/sh", "-c", guardScript, command.name, String(supervisor)]
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, command.log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        for descriptor in inheritedDescriptors() { posix_spawn_file_actions_addclose(&actions, descriptor) }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        setAttributes(&attributes)

        var pid: pid_t = 0
        let code = withArguments(wrapper + [command.executable] + command.arguments) {
            posix_spawnp(&pid, wrapper[0], &actions, &attributes, $0, environ)
        }
        return code == 0 ? .success(pid) : .failure(Fault(code: code))
    }

    /// What whoever started us left open: a child that kept the end of a pipe would keep its reader waiting. Ours are closed by
    /// `exec` anyway; closing one that is gone is no error.
    private static func inheritedDescriptors() -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return names.compactMap { Int32($0) }.filter { $0 > STDERR_FILENO }
    }

    /// A process group of its own, so that Ctrl-C reaches the supervisor alone, which then stops its children in order; and
    /// no signal ignored or blocked because the supervisor does so.
    private static func setAttributes(_ attributes: inout posix_spawnattr_t) {
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
    }

    private static func withArguments(_ arguments: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Int32) -> Int32 {
        let copies: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for copy in copies { free(copy) } }
        return body(copies)
    }
}
