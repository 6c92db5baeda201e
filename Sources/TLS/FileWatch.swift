#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What tells one content of a file from another without reading it. A file that is not there has its own.
struct FileMark: Hashable, Sendable {
    var inode: UInt64 = 0
    var size: Int64 = 0
    var seconds: Int64 = 0
    var nanoseconds: Int64 = 0

    /// Through links: whoever swaps a link swaps the file.
    init(_ file: String) {
        var status = stat()
        guard stat(file, &status) == 0 else { return }
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        seconds = Int64(status.st_mtim.tv_sec)
        nanoseconds = Int64(status.st_mtim.tv_nsec)
    }

    init(inode: UInt64, size: Int64, seconds: Int64, nanoseconds: Int64 = 0) {
        self.inode = inode
        self.size = size
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }
}

/// When files are to be read again: when they are others than those that were read, and have stood still since the last look.
struct FileWatch: Hashable, Sendable {
    private var read: [FileMark]
    private var seen: [FileMark]

    init(loaded marks: [FileMark]) {
        read = marks
        seen = marks
    }

    /// They are being read for another reason.
    mutating func loaded(_ marks: [FileMark]) {
        read = marks
        seen = marks
    }

    /// - Returns: whether to read them now. Once for each change, whatever comes of it.
    mutating func look(_ marks: [FileMark]) -> Bool {
        defer { seen = marks }
        guard marks != read, marks == seen else { return false }
        read = marks
        return true
    }
}
