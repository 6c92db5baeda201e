import MeshCore
import NIOCore
import Testing

@testable import Store

/// The decisions of a connection, without sockets and with a clock that is told the time.
@Suite struct RedisConnectionMachineTests {
    private typealias Machine = RedisConnectionMachine<String>

    /// A machine, its clock and its randomness.
    private struct Bench {
        var machine = Machine(
            limits: .init(deadline: .seconds(2), heartbeat: .seconds(1), commandsInFlightMax: 3, bytesInFlightMax: 100), scripts: 2)
        var now = Instant(nanoseconds: 1_000_000_000)
        var random = SeededRandom(seed: 1)

        mutating func pass(_ span: TimeSpan) { now = now + span }

        mutating func lost() -> Machine.Lost? { machine.lost(generation: machine.generation, now: now, using: &random) }

        mutating func receive(_ reply: RedisReply) -> String { describe(machine.received(reply, now: now)) }

        mutating func submit(_ token: String, bytes: Int = 10) -> Machine.Submitted { machine.submit(token, bytes: bytes, now: now) }

        private func describe(_ received: Machine.Received) -> String {
            switch received {
            case .nothing: "nothing"
            case .prepared: "prepared"
            case .completed(let token, let took): "completed \(token) in \(took)"
            case .broken(let reason): "broken: \(reason)"
            }
        }

        static func connecting() -> Bench {
            var bench = Bench()
            #expect(bench.machine.start(now: bench.now) == 1)
            return bench
        }

        static func preparing() -> Bench {
            var bench = connecting()
            let connected = bench.machine.connected(generation: 1, now: bench.now)
            #expect(connected)
            return bench
        }

        static func ready() -> Bench {
            var bench = preparing()
            bench.prepare()
            return bench
        }

        mutating func prepare() {
            #expect(receive(.bulk(ByteBuffer(string: "# Server\r\nredis_version:7\r\nrun_id:abc\r\n"))) == "nothing")
            #expect(receive(.bulk(ByteBuffer(string: "sha1"))) == "nothing")
            #expect(receive(.bulk(ByteBuffer(string: "sha2"))) == "nothing")
            #expect(receive(.status("OK")) == "prepared")
        }
    }

    @Test func preparationFindsRunAndScripts() {
        let bench = Bench.ready()
        #expect(bench.machine.session == .init(runID: "abc", scriptDigests: ["sha1", "sha2"]))
    }

    @Test func commandsAreRefusedUntilReady() {
        var idle = Bench()
        var connecting = Bench.connecting()
        var preparing = Bench.preparing()
        #expect(idle.submit("a") == .notReady)
        #expect(connecting.submit("a") == .notReady)
        #expect(preparing.submit("a") == .notReady)
        #expect(preparing.receive(.bulk(ByteBuffer(string: "run_id:abc"))) == "nothing")
        #expect(preparing.submit("a") == .notReady)
    }

    @Test(arguments: 0..<4)
    func errorDuringPreparationBreaks(_ step: Int) {
        var bench = Bench.preparing()
        let replies = ["run_id:abc", "sha1", "sha2"]
        for text in replies.prefix(step) { #expect(bench.receive(.bulk(ByteBuffer(string: text))) == "nothing") }
        #expect(bench.receive(.error("LOADING Redis is loading")) == "broken: LOADING Redis is loading")
        #expect(bench.lost()?.wasReady == false)
    }

    @Test func preparationChecksWhatItGets() {
        var noInfo = Bench.preparing()
        #expect(noInfo.receive(.status("OK")) == "broken: INFO without a run id")
        var noRun = Bench.preparing()
        #expect(noRun.receive(.bulk(ByteBuffer(string: "redis_version:7"))) == "broken: INFO without a run id")
        var noDigest = Bench.preparing()
        #expect(noDigest.receive(.bulk(ByteBuffer(string: "run_id:abc"))) == "nothing")
        #expect(noDigest.receive(.integer(1)) == "broken: SCRIPT LOAD without a digest")
    }

    @Test func repliesAnswerInOrder() {
        var bench = Bench.ready()
        #expect(bench.submit("a") == .send)
        bench.pass(.milliseconds(3))
        #expect(bench.submit("b") == .send)
        bench.pass(.milliseconds(4))
        #expect(bench.receive(.integer(1)) == "completed a in 7 ms")
        #expect(bench.receive(.integer(2)) == "completed b in 4 ms")
        #expect(bench.receive(.integer(3)) == "broken: reply that nobody asked for")
    }

    @Test func boundsRefuseAndFreeAgain() {
        var bench = Bench.ready()
        #expect(bench.submit("a", bytes: 1000) == .send)  // alone, any size passes
        #expect(bench.submit("b", bytes: 1) == .tooMany)
        #expect(bench.receive(.null) == "completed a in 0 ms")
        #expect(bench.submit("c", bytes: 60) == .send)
        #expect(bench.submit("d", bytes: 41) == .tooMany)
        #expect(bench.submit("e", bytes: 40) == .send)
        #expect(bench.submit("f", bytes: 0) == .send)
        #expect(bench.submit("g", bytes: 0) == .tooMany)
        #expect(bench.machine.commandsInFlight == 3)
        #expect(bench.machine.bytesInFlight == 100)
    }

    @Test func errorOfTheCommandIsAnAnswer() {
        var bench = Bench.ready()
        #expect(bench.submit("a") == .send)
        #expect(bench.receive(.error("WRONGTYPE Operation against a key")) == "completed a in 0 ms")
        #expect(bench.machine.session != nil)
    }

    @Test(arguments: ["READONLY x", "LOADING x", "OOM x", "MASTERDOWN x", "NOREPLICAS x", "MISCONF x", "BUSY x", "NOSCRIPT x", "NEWCODE x"])
    func errorOfTheServerBreaks(_ text: String) {
        var bench = Bench.ready()
        #expect(bench.submit("a") == .send)
        #expect(bench.submit("b") == .send)
        #expect(bench.receive(.error(text)) == "broken: \(text)")
        let lost = bench.lost()
        #expect(lost?.failed == ["a", "b"])
        #expect(lost?.wasReady == true)
        #expect(bench.machine.session == nil)
    }

    @Test func expiresTheOldest() {
        var bench = Bench.ready()
        #expect(bench.submit("a") == .send)
        bench.pass(.milliseconds(500))
        #expect(bench.submit("b") == .send)
        bench.pass(.milliseconds(1499))
        #expect(bench.machine.timerFired(now: bench.now) == .nothing)
        #expect(bench.machine.nextWake == bench.now + .milliseconds(1))
        bench.pass(.milliseconds(1))
        #expect(bench.machine.timerFired(now: bench.now) == .expired(reason: "no reply within 2000 ms"))
        #expect(bench.lost()?.failed == ["a", "b"])
        #expect(bench.machine.bytesInFlight == 0)
        #expect(bench.submit("c") == .notReady)
    }

    @Test("whoever was held up reads what has come before it gives up") func looksAgain() {
        var bench = Bench.ready()
        #expect(bench.submit("a") == .send)
        #expect(bench.submit("b") == .send)
        bench.pass(.seconds(3))
        #expect(bench.machine.timerFired(now: bench.now) == .nothing)
        #expect(bench.machine.nextWake == bench.now + .milliseconds(500))
        #expect(bench.receive(.null) == "completed a in 3000 ms")
        #expect(bench.machine.timerFired(now: bench.now) == .nothing)
        #expect(bench.receive(.null) == "completed b in 3000 ms")
        bench.pass(.milliseconds(500))
        #expect(bench.machine.timerFired(now: bench.now) == .nothing)
        // Once: a server that has said nothing is given up then, however late that is noticed.
        #expect(bench.submit("c") == .send)
        bench.pass(.seconds(3))
        #expect(bench.machine.timerFired(now: bench.now) == .nothing)
        bench.pass(.seconds(3))
        #expect(bench.machine.timerFired(now: bench.now) == .expired(reason: "no reply within 2000 ms"))
        #expect(bench.lost()?.failed == ["c"])
    }

    @Test func answeredInTimeDoesNotExpire() {
        var bench = Bench.ready()
        #expect(bench.submit("a") == .send)
        bench.pass(.milliseconds(1999))
        #expect(bench.submit("b") == .send)
        #expect(bench.receive(.null) == "completed a in 1999 ms")
        bench.pass(.milliseconds(1999))
        #expect(bench.machine.timerFired(now: bench.now) == .nothing)
        #expect(bench.receive(.null) == "completed b in 1999 ms")
    }

    @Test func silentConnectionIsAskedWhetherItLives() {
        var bench = Bench.ready()
        bench.pass(.milliseconds(999))
        #expect(bench.machine.timerFired(now: bench.now) == .nothing)
        bench.pass(.milliseconds(1))
        #expect(bench.machine.timerFired(now: bench.now) == .heartbeat)
        #expect(bench.machine.timerFired(now: bench.now) == .nothing)
        #expect(bench.receive(.status("PONG")) == "nothing")
        bench.pass(.seconds(1))
        #expect(bench.machine.timerFired(now: bench.now) == .heartbeat)
        bench.pass(.seconds(2))
        #expect(bench.machine.timerFired(now: bench.now) == .expired(reason: "no reply within 2000 ms"))
        #expect(bench.lost()?.failed == [])
    }

    @Test func heartbeatRefusedByTheServerBreaks() {
        var bench = Bench.ready()
        bench.pass(.seconds(1))
        #expect(bench.machine.timerFired(now: bench.now) == .heartbeat)
        #expect(bench.receive(.error("MISCONF x")) == "broken: MISCONF x")
    }

    @Test func attemptsExpireAndAreRepeatedWithGrowingWaits() {
        var bench = Bench.connecting()
        var waits: [Int] = []
        for attempt in 1...8 {
            bench.pass(.seconds(2))
            #expect(bench.machine.timerFired(now: bench.now) == .expired(reason: "no connection within 2000 ms"))
            #expect(bench.lost()?.wasReady == false)
            guard let due = bench.machine.nextWake else { return #expect(Bool(false), "no retry") }
            waits.append((due - bench.now).milliseconds)
            #expect(bench.machine.timerFired(now: bench.now) == .nothing)
            bench.now = due
            #expect(bench.machine.timerFired(now: bench.now) == .connect(generation: UInt64(attempt) + 1))
        }
        #expect((25...50).contains(waits[0]))
        #expect((500...1000).contains(waits[7]))
    }

    @Test func successResetsTheWait() {
        var bench = Bench.ready()
        for _ in 0..<8 {
            _ = bench.lost()
            bench.pass(.seconds(1))
            guard case .connect(let generation) = bench.machine.timerFired(now: bench.now) else {
                return #expect(Bool(false), "no attempt")
            }
            let connected = bench.machine.connected(generation: generation, now: bench.now)
            #expect(connected)
            bench.prepare()
        }
        _ = bench.lost()
        #expect((bench.machine.nextWake ?? .zero) - bench.now <= .milliseconds(50))
    }

    @Test func lateEventsOfAnOldAttemptAreDropped() {
        var bench = Bench.connecting()
        _ = bench.lost()
        let lateConnect = bench.machine.connected(generation: 1, now: bench.now)
        #expect(!lateConnect)
        #expect(bench.lost() == nil)
        bench.pass(.seconds(1))
        #expect(bench.machine.timerFired(now: bench.now) == .connect(generation: 2))
        let lateLoss = bench.machine.lost(generation: 1, now: bench.now, using: &bench.random)
        #expect(lateLoss == nil)
        let oldConnect = bench.machine.connected(generation: 1, now: bench.now)
        #expect(!oldConnect)
        let connected = bench.machine.connected(generation: 2, now: bench.now)
        #expect(connected)
    }

    @Test func closedStaysClosed() {
        var bench = Bench.ready()
        #expect(bench.submit("a") == .send)
        #expect(bench.machine.close() == ["a"])
        #expect(bench.machine.close() == [])
        #expect(bench.machine.nextWake == nil)
        #expect(bench.lost() == nil)
        #expect(bench.submit("b") == .notReady)
        #expect(bench.machine.start(now: bench.now) == nil)
        #expect(bench.machine.timerFired(now: bench.now + .seconds(9)) == .nothing)
    }
}

@Suite struct RedisErrorKindTests {
    @Test(arguments: [
        "LOADING Redis is loading the dataset in memory", "READONLY You can't write against a read only replica.",
        "OOM command not allowed when used memory > 'maxmemory'.", "MASTERDOWN Link with MASTER is down",
        "NOREPLICAS Not enough good replicas",
        "MISCONF Redis is configured to save RDB snapshots", "BUSY Redis is busy running a script", "CLUSTERDOWN The cluster is down",
        "NOAUTH Authentication required.", "ERR max number of clients reached", "SOMETHINGNEW",
        "ERR Error running script (call to f_1): @user_script:3: -OOM command not allowed",
        "ERR Error running script (call to f_1): @user_script:3: -READONLY You can't write",
    ]) func failingServer(_ text: String) { #expect(RedisErrorKind(text) == .unavailable) }

    @Test(arguments: ["WRONGTYPE Operation", "ERR unknown command 'X'", "ERR value is not an integer", "CROSSSLOT Keys in request"])
    func wrongCommand(_ text: String) { #expect(RedisErrorKind(text) == .misuse) }

    @Test func flushedScripts() { #expect(RedisErrorKind("NOSCRIPT No matching script.") == .scriptMissing) }
}
