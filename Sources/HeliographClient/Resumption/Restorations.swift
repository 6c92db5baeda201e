import MeshCore
import SwiftProtobuf
import Wire

/// What a new connection is told beside the rooms: how the user is, and whom she watches. Each part is told until the relay has taken it.
/// A value: it decides, its owner sends.
struct Restorations: Sendable {
    enum Part: Sendable, Hashable, CaseIterable { case presence, watching }

    private struct Telling: Sendable {
        /// Nil while the relay has it, or is being told.
        var at: Instant?
        var wait = RetryWait()
    }

    /// The bytes of a frame beside its users, at most.
    private static let envelopeBytes = 64

    private(set) var presence: RelayPresence?
    private(set) var watched: [String] = []
    private var tellings: [Part: Telling] = [:]

    /// Notes what the relay has agreed to.
    mutating func agreed(to frame: RelayClientFrame) {
        switch frame.frame {
        case .presence(let presence):
            self.presence = presence
            tellings[.presence]?.at = nil
        case .watch(let watch): watched += watch.users.filter { !watched.contains($0) }
        case .unwatch(let unwatch): watched.removeAll { unwatch.users.contains($0) }
        default: break
        }
    }

    /// The relay of a new connection knows nothing of it.
    mutating func welcomed(now: Instant) {
        for part in Part.allCases { tellings[part] = Telling(at: now) }
    }

    /// A part did not reach the relay, or the relay cannot take it just now.
    ///
    /// - Parameter least: the wait that the relay asks for.
    mutating func postpone(
        _ part: Part, notBefore least: TimeSpan = .zero, now: Instant, using random: inout some RandomNumberGenerator
    ) {
        var telling = tellings[part] ?? Telling()
        // It goes out in several frames: when some of them fail, they fail together.
        if telling.at == nil { telling.at = now + telling.wait.next(notBefore: least, using: &random) }
        tellings[part] = telling
    }

    /// What is to be told now.
    ///
    /// - Parameters:
    ///   - excluded: parts that the application is changing itself: they wait for her answer.
    ///   - bytesMax: of each frame.
    mutating func due(at now: Instant, except excluded: Set<Part>, bytesMax: Int) -> [(part: Part, frame: RelayClientFrame)] {
        var due: [(Part, RelayClientFrame)] = []
        for part in Part.allCases where !excluded.contains(part) {
            guard let at = tellings[part]?.at, at <= now else { continue }
            tellings[part]?.at = nil
            due += frames(part, bytesMax: bytesMax).map { (part, $0) }
        }
        return due
    }

    private func frames(_ part: Part, bytesMax: Int) -> [RelayClientFrame] {
        switch part {
        case .presence: presence.map { presence in [.with { $0.presence = presence }] } ?? []
        case .watching: pages(bytesMax: bytesMax).map { users in .with { $0.watch.users = users } }
        }
    }

    /// They may have been asked for in many requests; one frame may be too small for all.
    private func pages(bytesMax: Int) -> [[String]] {
        var pages: [[String]] = []
        var bytes = 0
        for user in watched {
            // In JSON every byte of a name may need an escape; two quotes and a comma.
            let added = 2 * user.utf8.count + 3
            if pages.isEmpty || bytes + added > bytesMax {
                pages.append([])
                bytes = Self.envelopeBytes
            }
            pages[pages.count - 1].append(user)
            bytes += added
        }
        return pages
    }
}
