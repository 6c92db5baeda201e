import MeshCore
import Testing

@Suite("A table of mostly one or two entries")
struct SmallTableTests {
    private func sorted(_ table: SmallTable<Int, String>) -> [Int: String] {
        Dictionary(uniqueKeysWithValues: table.map { ($0.key, $0.value) })
    }

    @Test("it is a dictionary, whatever its size", arguments: 0..<20) func model(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var table = SmallTable<Int, String>()
        var model: [Int: String] = [:]
        for step in 0..<400 {
            // Grows, shrinks, and grows again.
            let keys = step / 100 % 2 == 0 ? 0...9 : 0...3
            let key = Int.random(in: keys, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0: #expect(table.removeValue(forKey: key) == model.removeValue(forKey: key))
            case 1: #expect(table.updateValue("\(step)", forKey: key) == model.updateValue("\(step)", forKey: key))
            case 2: (table[key], model[key]) = (nil, nil)
            case 3:
                table[key, default: "none"].append("+")
                model[key, default: "none"].append("+")
            case 4:
                table[key]?.append("-")
                model[key]?.append("-")
            case 5 where Int.random(in: 0..<20, using: &random) == 0:
                table.removeAll()
                model.removeAll()
            default: (table[key], model[key]) = ("\(step)", "\(step)")
            }
            #expect(table[key] == model[key] && table[key, default: "none"] == model[key, default: "none"])
            #expect(sorted(table) == model && table.count == model.count && table.isEmpty == model.isEmpty)
            #expect(Set(table.keys) == Set(model.keys) && table.values.sorted() == model.values.sorted())
        }
    }

    @Test("a value that is changed is not copied", arguments: [1, 4, 5, 100]) func inPlace(count: Int) {
        var table = SmallTable<Int, [Int]>()
        for key in 0..<count { table[key] = Array(0..<100) }
        func place(_ key: Int) -> UInt? { table[key]?.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) } }
        for key in 0..<count {
            let before = place(key)
            table[key]?[7] = 8
            table[key, default: []][8] = 9
            #expect(place(key) == before && table[key]?[7] == 8 && table[key]?[8] == 9)
        }
    }
}
