import Foundation
import Yams

/// Reads one file to its top section, or reports why it cannot.
enum YamlFile {
    /// Configuration is written by people; what is larger is not configuration.
    static let bytesMax = 1 << 20

    /// - Parameter reason: where to report a file that cannot be read, for a file that another file names.
    static func read(_ path: String, namedAt reason: Place?, _ findings: Findings) -> Section? {
        let top = Place(file: path, line: 1, field: "")
        guard let text = text(of: path, namedAt: reason ?? Place(file: path, line: 1, field: "file"), findings) else { return nil }
        do {
            guard let node = try Yams.compose(yaml: text), node.null == nil else {
                findings.report("is empty", at: Place(file: path, line: 1, field: "file"))
                return nil
            }
            return Section(node, at: Place(file: path, line: 1, field: ""), findings)
        } catch let error as YamlError {
            findings.report(describe(error), at: Place(file: path, line: line(of: error), field: "syntax"))
        } catch {
            findings.report("\(error)", at: top)
        }
        return nil
    }

    private static func text(of path: String, namedAt reason: Place, _ findings: Findings) -> String? {
        do {
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            guard data.count <= bytesMax else {
                findings.report("\(path) has \(data.count) bytes; at most \(bytesMax) are read", at: reason)
                return nil
            }
            guard let text = String(validating: data, as: UTF8.self) else {
                findings.report("\(path) is not UTF-8", at: reason)
                return nil
            }
            return text
        } catch {
            findings.report("cannot read \(path): \(FileFault.describe(error))", at: reason)
            return nil
        }
    }

    private static func line(of error: YamlError) -> Int {
        switch error {
        case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _): mark.line
        case .duplicatedKeysInMapping(_, let context): context.mark.line
        default: 1
        }
    }

    private static func describe(_ error: YamlError) -> String {
        switch error {
        case .scanner(_, let problem, _, _), .parser(_, let problem, _, _), .composer(_, let problem, _, _): problem
        case .reader(let problem, _, _, _): problem
        case .duplicatedKeysInMapping(let names, _):
            "\(names.sorted().map { "`\($0)`" }.joined(separator: ", ")) given more than once in this mapping"
        default: "\(error)"
        }
    }
}

enum FilePath {
    /// Paths in a file are relative to the folder of that file, so that a configuration can be moved as a whole.
    static func resolve(_ path: String, namedIn file: String) -> String {
        guard !path.hasPrefix("/") else { return path }
        let folder = URL(fileURLWithPath: file).deletingLastPathComponent()
        return folder.appendingPathComponent(path).standardizedFileURL.path
    }
}
