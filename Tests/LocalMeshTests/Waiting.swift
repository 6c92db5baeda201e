extension Support {
    /// Asks until it holds or the deadline has passed.
    static func eventually(within seconds: Int = 20, _ condition: () async throws -> Bool) async rethrows -> Bool {
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            if try await condition() { return true }
            try? await Task.sleep(for: .milliseconds(20))
        }
        return try await condition()
    }
}
