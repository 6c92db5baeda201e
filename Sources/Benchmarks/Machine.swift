import CLinux
import Foundation

/// What the benchmark asks of the operating system.
enum Machine {
    /// Fits 1024 processors, as many as glibc's own type.
    private static let maskWords = 16

    /// The processors on which this process may run.
    static func allowedProcessors() -> [Int] {
        var mask = [UInt](repeating: 0, count: maskWords)
        guard heliograph_get_affinity(0, &mask, UInt(maskWords * 8)) > 0 else { return [0] }
        return (0..<maskWords * 64).filter { mask[$0 / 64] >> UInt($0 % 64) & 1 == 1 }
    }

    /// Pins every thread of this process, and those they will start, to one processor. Without effect where that is
    /// not allowed.
    static func pin(to processor: Int) {
        var mask = [UInt](repeating: 0, count: maskWords)
        mask[processor / 64] |= 1 << UInt(processor % 64)
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
        for thread in threads.compactMap(Int32.init) { _ = heliograph_set_affinity(thread, mask, UInt(maskWords * 8)) }
    }

    /// One processor for the servers and one for the load; nil where there is only one.
    static func processorsApart() -> (server: Int, load: Int)? {
        let processors = allowedProcessors()
        return processors.count > 1 ? (processors[0], processors[1]) : nil
    }

    /// As many descriptors as the hard limit allows.
    static func raiseDescriptorLimit() {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(resource, &limit)
    }

    /// Resident memory of a process in bytes; nil if it is gone.
    static func residentBytes(of process: Int32) -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/statm", encoding: .utf8) else { return nil }
        let fields = text.split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
        return pages * Int(getpagesize())
    }

    /// What this process has used of all processors, in user mode and in the kernel.
    static func processorNanoseconds() -> UInt64 {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + UInt64($1.tv_sec) * 1_000_000_000 + UInt64($1.tv_usec) * 1000 }
    }

    /// Nanoseconds of the monotonic clock.
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
