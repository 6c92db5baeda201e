import Testing

/// Three regions with one node each, which none of the tests disturbs: they run side by side.
@Suite("One quiet mesh", .mesh(), .timeLimit(.minutes(2))) enum QuietMesh {}
