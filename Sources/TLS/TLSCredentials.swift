import Logging
import MeshCore
import NIOCore
import Synchronization

/// The newest context of certificates that live in files. New connections take `context`; those that began under an older one go
/// on under it.
///
/// Files are read again by `reload()`, and by `look()` when they have changed. Files that cannot be used leave the context that
/// there is, are logged, and are counted.
public final class TLSCredentials: Sendable {
    public enum Settings: Hashable, Sendable {
        case server(TLSServerSettings)
        case client(TLSClientSettings)
    }

    /// A context this old is made anew even though nothing has changed, because its ticket keys are as old.
    public static let renewAfter = TimeSpan.seconds(12 * 3_600)

    private struct State {
        var context: TLSContext
        var madeAt: Instant
        var watch: FileWatch
        var figures = TLSCredentialFigures()
    }

    private let settings: Settings
    private let logger: Logger
    private let state: Mutex<State>
    /// One reader at a time: what was read last must be what is kept.
    private let reading = Mutex(())

    /// Reads the files.
    /// - Throws: `TLSConfigurationFault`
    public init(_ settings: Settings, logger: Logger) throws(TLSConfigurationFault) {
        self.settings = settings
        self.logger = logger
        let marks = settings.files.map(FileMark.init)
        state = Mutex(State(context: try settings.makeContext(), madeAt: Self.now(), watch: FileWatch(loaded: marks)))
    }

    /// The newest that could be made.
    public var context: TLSContext { state.withLock { $0.context } }

    /// For metrics.
    public var figures: TLSCredentialFigures { state.withLock { $0.figures } }

    /// The file of each certificate of the newest context, and when it is no longer valid.
    public var expiries: [TLSCertificateExpiry] { context.expiries }

    /// Reads the files, whether they have changed or not. Blocks for the time of it: not for event loops.
    public func reload() {
        reading.withLock { _ in
            let marks = settings.files.map(FileMark.init)
            state.withLock { $0.watch.loaded(marks) }
            read()
        }
    }

    /// Reads the files if they have changed since they were last read, and not since the last look: whoever replaces a chain and its key
    /// does it in two steps. Blocks for the time of it: not for event loops.
    public func look(now: Instant = now()) {
        reading.withLock { _ in
            let marks = settings.files.map(FileMark.init)
            let isDue = state.withLock { state in state.watch.look(marks) || now - state.madeAt >= Self.renewAfter }
            if isDue { read() }
        }
    }

    private func read() {
        do throws(TLSConfigurationFault) {
            let context = try settings.makeContext()
            let generation = state.withLock { state in
                state.context = context
                state.madeAt = Self.now()
                state.figures.reloads += 1
                return state.figures.generation
            }
            logger.info("certificates were read again", metadata: ["files": "\(settings.files)", "generation": "\(generation)"])
        } catch {
            state.withLock { state in
                state.figures.failures += 1
                // The next attempt comes with the next change.
                state.madeAt = Self.now()
            }
            logger.error(
                "certificates cannot be read, the older ones stay", metadata: ["file": "\(error.file ?? "")", "reason": "\(error.reason)"])
        }
    }

    public static func now() -> Instant { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }

    /// Looks at all of them until the task is cancelled.
    public static func watch(_ all: [TLSCredentials], every period: TimeSpan = .seconds(1)) async {
        while (try? await Task.sleep(for: .nanoseconds(period.nanoseconds))) != nil {
            for credentials in all { credentials.look() }
        }
    }
}

/// How often certificates were read again.
public struct TLSCredentialFigures: Hashable, Sendable {
    public var reloads: UInt64 = 0
    public var failures: UInt64 = 0
    /// From 1.
    public var generation: UInt64 { reloads + 1 }

    public init() {}
}

/// When a certificate, or one above it in its chain, is no longer valid.
public struct TLSCertificateExpiry: Hashable, Sendable {
    public var file: String
    /// Seconds since 1970.
    public var notAfter: Int64
}

extension TLSCredentials.Settings {
    /// In a fixed order.
    var files: [String] {
        switch self {
        case .server(let settings): settings.certificates.flatMap { [$0.chain, $0.key] } + [settings.clientTrustFile].compactMap { $0 }
        case .client(let settings): [settings.trustFile, settings.certificate?.chain, settings.certificate?.key].compactMap { $0 }
        }
    }

    func makeContext() throws(TLSConfigurationFault) -> TLSContext {
        switch self {
        case .server(let settings): try .server(settings)
        case .client(let settings): try .client(settings)
        }
    }
}
