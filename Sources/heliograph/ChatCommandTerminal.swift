import Dispatch
import Foundation
import Synchronization

/// Standard input and output: a terminal whose last line is the prompt, or a pipe of plain lines. The terminal is put back
/// as it was on `restore`.
final class ChatTerminal: Sendable {
    private static let readBytes = 4096

    /// Whether there is a prompt: both ends are a terminal.
    let isInteractive = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1
    /// By the convention of no-color.org.
    let usesColour: Bool

    private let saved = Mutex<termios?>(nil)
    private let hasPrompt = Mutex(false)
    private let reader = DispatchQueue(label: "heliograph.chat.input")

    init() {
        let wantsNone = ProcessInfo.processInfo.environment["NO_COLOR"].map { !$0.isEmpty } ?? false
        usesColour = isatty(STDOUT_FILENO) == 1 && !wantsNone
    }

    /// Keys come one by one and unechoed from now on. Output is processed as ever, so `\n` still starts a line.
    func enterRawMode() {
        guard isInteractive else { return }
        var mode = termios()
        guard tcgetattr(STDIN_FILENO, &mode) == 0 else { return }
        saved.withLock { $0 = mode }
        mode.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN)
        mode.c_iflag &= ~tcflag_t(IXON | ICRNL)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &mode)
    }

    /// Leaves the prompt's line and gives the terminal back; a second time nothing happens.
    func restore() {
        saved.withLock { saved in
            guard var mode = saved else { return }
            saved = nil
            put("\r\u{1B}[K")
            tcsetattr(STDIN_FILENO, TCSADRAIN, &mode)
        }
    }

    /// The next bytes of the input; nil at its end.
    func read() async -> [UInt8]? {
        await withCheckedContinuation { continuation in
            reader.async {
                var bytes = [UInt8](repeating: 0, count: Self.readBytes)
                var count = -1
                repeat { count = Foundation.read(STDIN_FILENO, &bytes, Self.readBytes) } while count < 0 && errno == EINTR
                continuation.resume(returning: count > 0 ? Array(bytes[..<count]) : nil)
            }
        }
    }

    /// A line above the prompt.
    func write(_ line: String) {
        let isDrawn = hasPrompt.withLock { hasPrompt in
            defer { hasPrompt = false }
            return hasPrompt
        }
        put((isDrawn ? "\r\u{1B}[K" : "") + line + "\n")
    }

    /// Draws the prompt's line anew. Of a line that is too long the part around the cursor is shown.
    func draw(prompt: String, editor: ChatLineEditor) {
        guard saved.withLock({ $0 != nil }) else { return }
        hasPrompt.withLock { $0 = true }
        let room = max(8, columns - prompt.reduce(0) { $0 + Self.width($1) } - 1)
        var start = editor.cursor
        var used = 0
        while start > 0, used + Self.width(editor.characters[start - 1]) <= room {
            start -= 1
            used += Self.width(editor.characters[start])
        }
        var end = editor.cursor
        var total = used
        while end < editor.characters.count, total + Self.width(editor.characters[end]) <= room {
            total += Self.width(editor.characters[end])
            end += 1
        }
        let back = total - used
        put("\r\u{1B}[K" + prompt + String(editor.characters[start..<end]) + (back > 0 ? "\u{1B}[\(back)D" : ""))
    }

    private var columns: Int {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Columns of a character, near enough: two for East Asian wide characters and emoji (Unicode, annex 11).
    static func width(_ character: Character) -> Int {
        guard let scalar = character.unicodeScalars.first else { return 0 }
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6,
            0x1F300...0x1F64F, 0x1F680...0x1F6FF, 0x1F900...0x1F9FF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }

    private func put(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Foundation.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { return }
            rest = rest.dropFirst(written)
        }
    }
}
