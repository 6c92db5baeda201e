import MeshCore

/// P3 and P4: what publishers were told is true.
struct AcknowledgementRules {
    let history: History
    let facts: [String: RoomFacts]

    private struct Subject: Hashable {
        var client: String
        var room: String
        var key: String
    }

    func check() -> [Violation] {
        var violations: [Violation] = []
        var answers: [Subject: (position: Position, wasNew: Bool)] = [:]
        for entry in history.entries {
            guard case .acknowledged(let client, let room, let key, let position, let duplicate) = entry.event else { continue }
            let subject = Subject(client: client, room: room, key: key)
            violations += checkLog(subject, position)
            if let before = answers[subject] { violations += compare(subject, before, position, duplicate) }
            answers[subject] = (position, !duplicate || answers[subject]?.wasNew ?? false)
        }
        return violations + invented()
    }

    private func checkLog(_ subject: Subject, _ position: Position) -> [Violation] {
        guard let facts = facts[subject.room], !isExcused(position, facts), !facts.logged.contains(position) else { return [] }
        let range = facts.log.first.map { "\($0.position) to \(facts.log.last?.position ?? .zero)" } ?? "nothing"
        return [violation(.lost, subject, "acknowledged at \(position), which is not in the log: that holds \(range)")]
    }

    private func isExcused(_ position: Position, _ facts: RoomFacts) -> Bool {
        guard let first = facts.log.first, let last = facts.log.last else { return facts.mayLose || facts.isTrimmed }
        if facts.isTrimmed, position < first.position { return true }
        return facts.mayLose && position.epoch < last.position.epoch
    }

    private func compare(
        _ subject: Subject, _ before: (position: Position, wasNew: Bool), _ position: Position, _ duplicate: Bool
    ) -> [Violation] {
        var violations: [Violation] = []
        let mayMove = facts[subject.room].map { $0.mayLose && before.position.epoch != position.epoch } ?? false
        if position != before.position, !mayMove {
            violations.append(violation(.keyTwice, subject, "acknowledged at \(before.position) and at \(position)"))
        }
        if before.wasNew, !duplicate, !mayMove {
            violations.append(violation(.duplicateFlag, subject, "acknowledged as new twice, at \(before.position) and at \(position)"))
        }
        return violations
    }

    private func violation(_ rule: Violation.Rule, _ subject: Subject, _ detail: String) -> Violation {
        Violation(rule, room: subject.room, client: subject.client, "\(subject.key) \(detail)")
    }

    /// Everything in a room was sent by the one from whom it says it is, and says what it said first.
    private func invented() -> [Violation] {
        var sent: [Subject: String] = [:]
        for entry in history.entries {
            guard case .published(let client, let room, let key, let text) = entry.event else { continue }
            let subject = Subject(client: client, room: room, key: key)
            if sent[subject] == nil { sent[subject] = text }
        }
        return facts.values.sorted { $0.room < $1.room }.flatMap { facts in
            facts.allMessages.sorted { $0.position < $1.position }.compactMap { message in
                let subject = Subject(client: message.from, room: facts.room, key: message.key)
                guard sent[subject] != message.text else { return nil }
                let detail = sent[subject].map { "says \"\(message.text)\" where its sender said \"\($0)\"" } ?? "was sent by nobody"
                return Violation(.invented, room: facts.room, client: nil, "\(message) \(detail)")
            }
        }
    }
}
