/// `DELETE /v1/rooms/{room}` and `DELETE /v1/users/{user}`.
public struct DeletionReport: Codable, Hashable, Sendable {
    public struct Missing: Codable, Hashable, Sendable {
        public var region: String
        /// For people: what could not be reached there.
        public var reason: String

        public init(region: String, reason: String) {
            self.region = region
            self.reason = reason
        }
    }

    /// What was to be deleted: one of the two.
    public var room: String?
    public var user: String?
    /// Whether it is done everywhere. Otherwise something may be left where `missing` says: repeat it.
    public var deleted: Bool
    /// Regions in which it is done.
    public var regions: [String]
    public var missing: [Missing]

    public init(room: String? = nil, user: String? = nil, regions: [String], missing: [Missing]) {
        self.room = room
        self.user = user
        deleted = missing.isEmpty
        self.regions = regions
        self.missing = missing
    }
}

/// Why an export cannot begin.
public struct ExportFault: Error, Hashable, Sendable {
    public var reason: String
    public init(reason: String) { self.reason = reason }
}
