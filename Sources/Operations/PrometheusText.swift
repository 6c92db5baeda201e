import MeshCore

/// All samples of one metric.
public struct MetricFamily: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable {
        case counter, gauge, histogram
    }

    public enum Value: Hashable, Sendable {
        case integer(UInt64)
        case number(Double)
        case histogram(LatencyHistogram)

        public static func == (a: Value, b: Value) -> Bool {
            switch (a, b) {
            case (.integer(let x), .integer(let y)): x == y
            case (.number(let x), .number(let y)): x == y
            case (.histogram(let x), .histogram(let y)): x.buckets == y.buckets && x.sumMicroseconds == y.sumMicroseconds
            default: false
            }
        }

        public func hash(into hasher: inout Hasher) {
            switch self {
            case .integer(let value): hasher.combine(value)
            case .number(let value): hasher.combine(value)
            case .histogram(let value): hasher.combine(value.buckets)
            }
        }
    }

    public struct Label: Hashable, Sendable {
        public var name: String
        public var value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public struct Sample: Hashable, Sendable {
        public var labels: [Label]
        public var value: Value

        public init(_ value: Value, _ labels: Label...) {
            self.labels = labels
            self.value = value
        }
    }

    public var name: String
    public var help: String
    public var kind: Kind
    public var samples: [Sample]

    public init(_ name: String, _ kind: Kind, help: String, samples: [Sample]) {
        self.name = name
        self.kind = kind
        self.help = help
        self.samples = samples
    }

    public static func counter(_ name: String, help: String, _ value: UInt64) -> MetricFamily {
        MetricFamily(name, .counter, help: help, samples: [Sample(.integer(value))])
    }

    public static func gauge(_ name: String, help: String, _ value: Double) -> MetricFamily {
        MetricFamily(name, .gauge, help: help, samples: [Sample(.number(value))])
    }

    /// Times in seconds.
    public static func histogram(_ name: String, help: String, _ value: LatencyHistogram) -> MetricFamily {
        MetricFamily(name, .histogram, help: help, samples: [Sample(.histogram(value))])
    }

    /// `heliograph_drops_total` with every reason, also those that have not happened: a rate needs a zero to start from.
    public static func drops(_ ledger: DropLedger) -> MetricFamily {
        let samples = DropReason.allCases.map { Sample(.integer(ledger[$0]), Label("reason", $0.rawValue)) }
        return MetricFamily("heliograph_drops_total", .counter, help: "What was let go of, by reason.", samples: samples)
    }
}

/// The text format of Prometheus, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
public enum PrometheusText {
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    public static func render(_ families: [MetricFamily]) -> String {
        var text = ""
        for family in families where !family.samples.isEmpty {
            text += "# HELP \(family.name) \(escapeHelp(family.help))\n# TYPE \(family.name) \(family.kind.rawValue)\n"
            for sample in family.samples { render(sample, of: family.name, into: &text) }
        }
        return text
    }

    private static func render(_ sample: MetricFamily.Sample, of name: String, into text: inout String) {
        switch sample.value {
        case .integer(let value): text += "\(name)\(labels(sample.labels)) \(value)\n"
        case .number(let value): text += "\(name)\(labels(sample.labels)) \(number(value))\n"
        case .histogram(let value): render(value, of: name, sample.labels, into: &text)
        }
    }

    /// Buckets are cumulative and end with +Inf.
    private static func render(
        _ histogram: LatencyHistogram, of name: String, _ given: [MetricFamily.Label], into text: inout String
    ) {
        var cumulative: UInt64 = 0
        let bounds = LatencyHistogram.boundsMicroseconds.map { number(Double($0) / 1_000_000) } + ["+Inf"]
        for (bound, count) in zip(bounds, histogram.buckets) {
            cumulative += count
            text += "\(name)_bucket\(labels(given + [.init("le", bound)])) \(cumulative)\n"
        }
        text += "\(name)_sum\(labels(given)) \(number(Double(histogram.sumMicroseconds) / 1_000_000))\n"
        text += "\(name)_count\(labels(given)) \(histogram.count)\n"
    }

    private static func labels(_ labels: [MetricFamily.Label]) -> String {
        guard !labels.isEmpty else { return "" }
        return "{" + labels.map { "\($0.name)=\"\(escapeValue($0.value))\"" }.joined(separator: ",") + "}"
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if let whole = Int64(exactly: value) { return "\(whole)" }
        return "\(value)"
    }

    private static func escapeHelp(_ text: String) -> String { escape(text, quote: false) }
    private static func escapeValue(_ text: String) -> String { escape(text, quote: true) }

    private static func escape(_ text: String, quote: Bool) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quote: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
