import Foundation

/// Looks again until the condition holds. Fails the test's promise, not the machine's patience: 10 s.
func waitUntil(_ what: String, _ condition: () throws -> Bool) throws {
    let deadline = Date().addingTimeInterval(10)
    while try !condition() {
        guard Date() < deadline else { throw RedisServer.Failure(text: "waited in vain until \(what)") }
        usleep(5000)
    }
}
