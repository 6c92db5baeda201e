import Foundation
import HeliographClient
import MeshCore
import NIOCore
import NIOHTTP1

/// What HTTP users of the listeners see.
enum HTTP {
    struct Answer: Sendable {
        var status: Int
        var headers: HTTPHeaders
        var body: String
    }

    static func get(_ url: String) async throws -> Answer {
        let answer = try await HTTPGet.fetch(url, timeout: .seconds(5))
        return Answer(status: answer.status, headers: answer.headers, body: String(buffer: answer.body))
    }

    static func json<Value: Decodable & Sendable>(_ url: String, status: Int = 200) async throws -> Value {
        let answer = try await get(url)
        guard answer.status == status else { throw SystemTestError("\(url) answered \(answer.status): \(answer.body)") }
        return try JSONDecoder().decode(Value.self, from: Data(answer.body.utf8))
    }
}

/// `GET /v1/route`, as protocol.md has it.
struct Route: Codable, Hashable, Sendable {
    struct Edge: Codable, Hashable, Sendable {
        var region: String
        var url: String
        var healthy: Bool
        var load: Double
    }

    var room: String
    var shard: Int
    var home: String
    /// Null where a placement has one region; the key is there all the same.
    @Nullable var standby: String?
    var view: Int
    var edges: [Edge]
}

/// A value that may be null, whose key may not be absent.
@propertyWrapper
struct Nullable<Value: Codable & Hashable & Sendable>: Codable, Hashable, Sendable {
    var wrappedValue: Value?
    init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }
    init(from decoder: any Decoder) throws { wrappedValue = try decoder.singleValueContainer().decode(Value?.self) }
    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(wrappedValue)
    }
}

/// `GET /readyz`.
struct Readyz: Codable, Hashable, Sendable {
    struct Check: Codable, Hashable, Sendable {
        var name: String
        var ok: Bool
        var detail: String
    }

    var ready: Bool
    var checks: [Check]

    subscript(name: String) -> Check? { checks.first { $0.name == name } }
}

/// The Prometheus text of one node: series by their full name with labels.
struct Metrics: Sendable {
    var values: [String: Double] = [:]
    var types: [String: String] = [:]

    static func scrape(_ operationsURL: String) async throws -> Metrics {
        let answer = try await HTTP.get(operationsURL + "/metrics")
        guard answer.status == 200 else { throw SystemTestError("/metrics answered \(answer.status)") }
        return try Metrics(answer.body)
    }

    /// - Throws: for a line that is neither a comment nor `name{labels} number`.
    init(_ text: String) throws {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.hasPrefix("# TYPE "), words.count == 4 { types[String(words[2])] = String(words[3]) }
            guard !line.hasPrefix("#") else { continue }
            guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else {
                throw SystemTestError("not a metric: \(line)")
            }
            values[String(line[..<space])] = value
        }
    }

    subscript(_ series: String) -> Double { values[series] ?? 0 }
    func drops(_ reason: String) -> Double { self["heliograph_drops_total{reason=\"\(reason)\"}"] }
}
