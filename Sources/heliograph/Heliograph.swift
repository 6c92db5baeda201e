import ArgumentParser

@main
struct Heliograph: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "heliograph",
        abstract: "A multi-region edge relay and presence mesh for group chat.",
        discussion: "Exit codes: 0 done, 1 the thing failed, 64 usage, 78 bad configuration.",
        subcommands: [
            UpCommand.self,
            ServeCommand.self,
            TokenCommand.self,
            CertsCommand.self,
            ChatCommand.self,
            StatusCommand.self,
            RouteCommand.self,
            BenchCommand.self,
            BenchServerCommand.self,
        ])
}

extension ExitCode {
    /// EX_CONFIG of sysexits.h: every error has been listed with file and line.
    static let badConfiguration = ExitCode(78)
}
