import Foundation
import MeshCore
import TLS

extension LocalMesh {
    func startAll() async throws {
        try files.write(plan, options)
        if options.linkProxies {
            let proxies = try await LinkProxies.start(plan)
            self.proxies = proxies
            try files.write(plan, options, behind: proxies)
        }
        if options.tls { encryption = try files.certificates.client() }
        if let path = options.readyFile { unlink(path) }
        try await startStores()
        for region in plan.regions {
            for node in region.nodes { relays[node.node] = try await startChild(freshLog(relayCommand(node))) }
        }
        try await waitUntilReady(plan.regions.flatMap(\.nodes).map { waited(for: $0) })
        if let path = options.readyFile { try readyFile.write(to: path) }
        markRunning()
    }

    private func startStores() async throws {
        var waits: [Wait] = []
        for region in plan.regions {
            guard let port = region.redisPort else { continue }
            let child = try await startChild(freshLog(redisCommand(region.region, port)))
            redisServers[region.region] = child
            waits.append(waited(for: child, redisPort: port))
        }
        try await waitUntilReady(waits)
    }

    // MARK: Commands

    func relayCommand(_ node: MeshPlan.Node) -> ChildCommand {
        let name = node.node.name
        let configuration = proxies == nil ? files.configuration(of: node.node.region) : files.configuration(of: node.node)
        let arguments = ["serve", "--config", configuration, "--node", name]
        return ChildCommand(name: name, executable: binary, arguments: arguments, log: files.log(of: name))
    }

    func redisCommand(_ region: RegionID, _ port: Int) -> ChildCommand {
        let arguments =
            portArguments(region, port) + [
                "--bind", "127.0.0.1", "--dir", files.redis(of: region), "--appendonly", "yes", "--save", "",
                "--daemonize", "no", "--logfile", "",
            ]
        return ChildCommand(
            name: "redis-\(region)", executable: "redis-server", arguments: arguments, log: files.log(of: "redis-\(region)"))
    }

    /// Clients must show a certificate of the mesh's authority.
    private func portArguments(_ region: RegionID, _ port: Int) -> [String] {
        guard options.tls else { return ["--port", String(port)] }
        let certificates = files.certificates
        let own = certificates.redis(of: region)
        return [
            "--port", "0", "--tls-port", String(port), "--tls-cert-file", own.chain, "--tls-key-file", own.key,
            "--tls-ca-cert-file", certificates.trustFile, "--tls-auth-clients", "yes",
        ]
    }

    /// The log of an earlier mesh must not be reported as the end of this one's.
    private func freshLog(_ command: ChildCommand) -> ChildCommand {
        unlink(command.log)
        return command
    }

    // MARK: Waiting

    struct Wait: Sendable {
        let child: ChildProcess
        let probe: @Sendable () async -> ReadinessProbe.Answer
    }

    func waited(for node: MeshPlan.Node) -> Wait? {
        relays[node.node].map { child in
            Wait(child: child) { [encryption] in await ReadinessProbe.node(operationsPort: node.operationsPort, encryption) }
        }
    }

    func waited(for child: ChildProcess, redisPort: Int) -> Wait {
        Wait(child: child) { [encryption] in await ReadinessProbe.redis(port: redisPort, encryption) }
    }

    func waitUntilReady(_ waits: [Wait?]) async throws {
        let begun = ContinuousClock.now
        var lastReport = begun
        var waits = waits.compactMap { $0 }
        while !waits.isEmpty {
            let answers = await ask(waits)
            var reasons: [String] = []
            waits = zip(waits, answers).compactMap { wait, answer in
                let name = wait.child.command.name
                switch answer {
                case .ready:
                    onEvent(.ready(name: name, after: Self.elapsed(since: begun)))
                    return nil
                case .notYet(let reason):
                    reasons.append("\(name) (\(reason))")
                    return wait
                }
            }
            guard !waits.isEmpty else { return }
            try failIfDead(among: waits)
            guard Self.elapsed(since: begun) < options.startTimeout else { throw LocalMeshError.notReady(reasons) }
            if ContinuousClock.now - lastReport >= .seconds(2) {
                onEvent(.waiting(reasons))
                lastReport = .now
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func ask(_ waits: [Wait]) async -> [ReadinessProbe.Answer] {
        await withTaskGroup(of: (Int, ReadinessProbe.Answer).self) { group in
            for (index, wait) in waits.enumerated() {
                // What answers on a dead child's port is not the child.
                group.addTask { (index, wait.child.status == nil ? await wait.probe() : .notYet("has ended")) }
            }
            var answers = Array(repeating: ReadinessProbe.Answer.notYet(""), count: waits.count)
            for await (index, answer) in group { answers[index] = answer }
            return answers
        }
    }

    /// During the first start any death ends it; later only that of a child that is waited for.
    private func failIfDead(among waits: [Wait]) throws {
        let children = phase == .starting ? Array(redisServers.values) + Array(relays.values) : waits.map(\.child)
        for child in children {
            guard let status = child.status else { continue }
            let command = child.command
            throw LocalMeshError.diedDuringStart(
                name: command.name, how: status.description, log: command.log, lastLines: LogTail.lines(of: command.log))
        }
    }

    private static func elapsed(since begun: ContinuousClock.Instant) -> TimeSpan {
        let passed = (ContinuousClock.now - begun).components
        return .seconds(Int(passed.seconds)) + TimeSpan(nanoseconds: passed.attoseconds / 1_000_000_000)
    }
}
