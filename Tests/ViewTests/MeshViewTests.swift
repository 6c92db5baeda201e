import MeshCore
import Testing
import View

private let eu = RegionID("eu-west")
private let us = RegionID("us-east")
private let ap = RegionID("ap-south")

private func view(_ states: [RegionID: MeshView.RegionState] = [:], weights: [RegionID: UInt32] = [:]) -> MeshView {
    MeshView(
        epoch: 1, regions: [eu, us, ap].map { .init(region: $0, state: states[$0] ?? .active, weight: weights[$0] ?? 100) },
        placements: ["default": [eu, us, ap], "eu": [eu], "west": [eu, us], "nowhere": [], "gone": [RegionID("mars")]])
}

private let rooms = (0..<2000).map { "room-\($0)" }

@Suite("The view") struct MeshViewTests {
    @Test("home and standby are the first two of the preference list") func homes() {
        for room in rooms {
            let preference = view().preference(of: room)
            #expect(Set(preference) == [eu, us, ap])
            #expect(view().homes(of: room).home == preference[0])
            #expect(view().homes(of: room).standby == preference[1])
        }
    }

    @Test("known homes do not move") func golden() {
        #expect(view().preference(of: "lobby") == [ap, us, eu])
        #expect(view().preference(of: "@alice") == [us, ap, eu])
    }

    @Test(
        "the placement is what stands before the first slash, if that names one",
        arguments: [
            ("lobby", "default"), ("eu/lobby", "eu"), ("eu/", "eu"), ("mars/lobby", "default"), ("/lobby", "default"),
            ("west/eu/a", "west"),
            ("eu/\u{301}a", "eu"), ("@eu/a", "default"), ("eu", "default"), ("default/a", "default"),
        ])
    func placements(_ room: String, _ placement: String) { #expect(view().placement(of: room) == placement) }

    @Test("a room stays within its placement") func placed() {
        #expect(view().preference(of: "eu/lobby") == [eu])
        #expect(view().homes(of: "eu/lobby").standby == nil)
        #expect(Set(view().preference(of: "west/a")) == [eu, us])
        #expect(view().homes(of: "nowhere/a").home == nil)
        #expect(view().homes(of: "gone/a").home == nil)
    }

    @Test("draining and evicted regions keep their rank and home nothing", arguments: [MeshView.RegionState.draining, .evicted])
    func passedOver(_ state: MeshView.RegionState) {
        let now = view([us: state])
        for room in rooms {
            #expect(now.preference(of: room) == view().preference(of: room))
            let remaining = view().preference(of: room).filter { $0 != us }
            #expect(now.homes(of: room).home == remaining[0])
            #expect(now.homes(of: room).standby == remaining[1])
        }
        #expect(now.activeRegions == [eu, ap])
        #expect(now.state(of: us) == state)
        #expect(now.state(of: RegionID("mars")) == nil)
    }

    @Test("a witness has no rank, nor has a weight of zero") func witness() {
        for room in rooms {
            #expect(!view([us: .witness]).preference(of: room).contains(us))
            #expect(!view(weights: [us: 0]).preference(of: room).contains(us))
        }
    }

    @Test("losing a region moves its rooms only, to their standby") func movement() {
        for room in rooms {
            let before = view().homes(of: room)
            let after = view([us: .evicted]).homes(of: room)
            #expect(after.home == (before.home == us ? before.standby : before.home))
        }
    }

    @Test("shards homed sum up to all, in proportion to the weights") func shards() {
        let counts = view(weights: [us: 200]).shardsHomed()
        #expect(counts.values.reduce(0, +) == Shard.count)
        #expect((7_700...8_700).contains(counts[us] ?? 0))
        #expect(view([eu: .draining]).shardsHomed()[eu] == nil)
        #expect(view([eu: .draining]).shardsHomed().values.reduce(0, +) == Shard.count)
    }
}
