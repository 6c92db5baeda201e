import CHiredis
import NIOCore

/// The bytes from the server are not RESP2, or more than this process is willing to hold.
struct HiredisFault: Error, Hashable {
    let text: String
}

/// hiredis' incremental reply parser. The only owner of a `redisReader`; this file is the only one that calls hiredis.
///
/// hiredis believes the sizes that a server announces. A bulk string costs no more than what arrives, so the bytes of an
/// unfinished reply are bounded here; an array is allocated when it is announced, so its allocator is wrapped in one that
/// refuses more than `elementsMax`.
final class HiredisReader {
    static let elementsMax: Int32 = 1 << 20

    private let reader: UnsafeMutablePointer<redisReader>
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    private let wrapped: UnsafeMutablePointer<redisReplyObjectFunctions>
    private let replyBytesMax: Int
    private var bytesOfReply = 0

    init(replyBytesMax: Int) {
        guard let reader = redisReaderCreate(), let original = reader.pointee.fn else { preconditionFailure("out of memory") }
        self.replyBytesMax = replyBytesMax
        self.reader = reader
        wrapped = .allocate(capacity: 1)
        wrapped.initialize(to: original.pointee)
        functions = .allocate(capacity: 1)
        functions.initialize(to: original.pointee)
        functions.pointee.createArray = { task, elements in
            guard let task, let privdata = task.pointee.privdata, elements <= HiredisReader.elementsMax else { return nil }
            // `privdata` is `wrapped`, which this initializer made and bound to that type, and which lives as long as the reader.
            return privdata.assumingMemoryBound(to: redisReplyObjectFunctions.self).pointee.createArray(task, elements)
        }
        reader.pointee.fn = functions
        // hiredis hands `privdata` to every task; its own functions do not use it.
        reader.pointee.privdata = UnsafeMutableRawPointer(wrapped)
    }

    deinit {
        redisReaderFree(reader)
        functions.deallocate()
        wrapped.deallocate()
    }

    func feed(_ buffer: ByteBuffer) throws(HiredisFault) {
        bytesOfReply += buffer.readableBytes
        guard bytesOfReply <= replyBytesMax else { throw HiredisFault(text: "reply above \(replyBytesMax) bytes") }
        let result = buffer.withUnsafeReadableBytes { bytes in
            redisReaderFeed(reader, bytes.bindMemory(to: CChar.self).baseAddress, bytes.count)
        }
        guard result == REDIS_OK else { throw fault() }
    }

    /// The next whole reply, nil until more bytes come.
    func next() throws(HiredisFault) -> RedisReply? {
        var raw: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &raw) == REDIS_OK else { throw fault() }
        guard let raw else { return nil }
        defer { freeReplyObject(raw) }
        bytesOfReply = 0
        // A reply that is not nil was made by hiredis' own functions, which make nothing but `redisReply`.
        return Self.convert(raw.assumingMemoryBound(to: redisReply.self).pointee)
    }

    private func fault() -> HiredisFault {
        let text = withUnsafeBytes(of: reader.pointee.errstr) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return HiredisFault(text: "unreadable reply: \(text)")
    }

    private static func convert(_ reply: redisReply) -> RedisReply {
        switch reply.type {
        case REDIS_REPLY_STATUS: .status(String(decoding: bytes(of: reply), as: UTF8.self))
        case REDIS_REPLY_ERROR: .error(String(decoding: bytes(of: reply), as: UTF8.self))
        case REDIS_REPLY_INTEGER: .integer(Int64(reply.integer))
        case REDIS_REPLY_STRING: .bulk(ByteBuffer(bytes: bytes(of: reply)))
        case REDIS_REPLY_ARRAY: .array(elements(of: reply))
        default: .null
        }
    }

    private static func bytes(of reply: redisReply) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: reply.str, count: Int(reply.len))
    }

    private static func elements(of reply: redisReply) -> [RedisReply] {
        UnsafeBufferPointer(start: reply.element, count: Int(reply.elements)).map { element in
            element.map { convert($0.pointee) } ?? .null
        }
    }
}

extension RedisCommand {
    /// The command as RESP, formatted by hiredis.
    func formatted() -> ByteBuffer {
        var target: UnsafeMutablePointer<CChar>?
        let length = bytes.withUnsafeReadableBytes { raw in
            let base = raw.bindMemory(to: CChar.self).baseAddress
            var start = 0
            var arguments: [UnsafePointer<CChar>?] = []
            var lengths: [Int] = []
            for end in ends {
                arguments.append(base.map { $0 + start })
                lengths.append(end - start)
                start = end
            }
            return redisFormatCommandArgv(&target, Int32(ends.count), &arguments, &lengths)
        }
        guard length >= 0, let target else { preconditionFailure("out of memory") }
        defer { redisFreeCommand(target) }
        return ByteBuffer(bytes: UnsafeRawBufferPointer(start: target, count: Int(length)))
    }
}
