import Membership
import MeshCore
import Operations
import Store
import Transport

extension RunningNode {
    /// Everything that `/metrics` shows, in base units.
    func metrics() async -> [MetricFamily] {
        let cells = await reports()
        let mesh = await ask { driver in
            (driver.linkedNodes.map { ($0.key, $0.value.figures) }, driver.linkDrops, driver.linkEnds, driver.unknownFrames)
        }
        var drops = mesh?.1 ?? DropLedger()
        for cell in cells { drops.add(cell.drops) }
        let pushed = push?.figures ?? PushFigures()
        drops.add(pushed.drops)
        return sessionMetrics(cells) + publishMetrics(cells) + storeMetrics(cells) + linkMetrics(mesh?.0 ?? [], mesh?.2 ?? [:])
            + context.encryption.metrics() + (push.map { pushed.metrics($0.services) } ?? [])
            + [
                .drops(drops),
                .counter(
                    "heliograph_link_unknown_frames_total", help: "Frames of a kind that this version does not know.", mesh?.3 ?? 0),
            ]
    }

    private func sessionMetrics(_ cells: [CellReport]) -> [MetricFamily] {
        func sum(_ value: (CellReport) -> Int) -> Double { Double(cells.reduce(0) { $0 + value($1) }) }
        func total(_ value: (CellReport) -> UInt64) -> UInt64 { cells.reduce(0) { $0 + value($1) } }
        return [
            .gauge("heliograph_sessions", help: "Client sessions on this node.", sum(\.sessions)),
            MetricFamily(
                "heliograph_door_sessions", .gauge, help: "Client sessions on this node, by transport.",
                samples: ClientConnection.Door.allCases.map { door in
                    .init(.number(sum { $0.doors[door] ?? 0 }), .init("door", door.rawValue))
                }),
            .gauge("heliograph_http2_connections", help: "HTTP/2 connections of clients.", sum(\.multiplexers)),
            .counter("heliograph_tls_handshakes_total", help: "TLS handshakes with clients.", total(\.figures.tlsHandshakes)),
            .counter(
                "heliograph_tls_resumptions_total", help: "Those that resumed an earlier TLS session.", total(\.figures.tlsResumptions)),
            .gauge(
                "heliograph_lingering_sessions", help: "Sessions that have ended and are still shown, because they may come back.",
                sum(\.lingeringSessions)),
            .gauge("heliograph_rooms", help: "Rooms with a session, or a watcher, on a cell of this node.", sum(\.rooms)),
            .gauge("heliograph_room_hubs", help: "Rooms for which this node is a level of the tree.", sum(\.hubs)),
            .gauge("heliograph_rooted_rooms", help: "Rooms rooted on this node.", sum(\.rootedRooms)),
            .gauge("heliograph_requests_in_flight", help: "Requests to roots without an answer yet.", sum(\.requests)),
            .counter("heliograph_hellos_total", help: "Sessions started.", total(\.figures.hellos)),
            MetricFamily(
                "heliograph_admissions_total", .counter, help: "Hellos by what became of them at the door of their cell.",
                samples: CellFigures.AdmissionOutcome.allCases.map { outcome in
                    .init(.integer(total { $0.figures.admissions[outcome] ?? 0 }), .init("outcome", outcome.rawValue))
                }),
            .gauge("heliograph_admission_queue", help: "Hellos that wait for their turn.", sum(\.admissionQueue)),
            .gauge(
                "heliograph_background_store_calls_waiting", help: "Calls to the store that wait for their turn.", sum(\.storeGateWaiting)),
            .counter("heliograph_deliveries_total", help: "Messages fanned out to sessions.", total(\.figures.deliveries)),
            .counter("heliograph_replayed_messages_total", help: "Earlier messages sent to sessions.", total(\.figures.replayed)),
            .counter(
                "heliograph_replay_asks_total", help: "Reads of earlier messages that a level asked the one above, or the log, for.",
                total(\.figures.replayAsks)),
            .counter(
                "heliograph_slow_sessions_total", help: "Times that a session read too slowly and was served from history.",
                total(\.figures.fellBehind)),
            .gauge("heliograph_tail_bytes", help: "Recent messages kept for those who missed some.", sum(\.tailBytes)),
            .counter("heliograph_sends_total", help: "send() calls that reached the kernel.", total(\.sends)),
            .counter("heliograph_sent_bytes_total", help: "Bytes sent to clients directly.", total(\.sentBytes)),
            .counter("heliograph_partial_sends_total", help: "Sends of which the kernel took a part only.", total(\.partialSends)),
            .counter("heliograph_ticks_total", help: "Turns of the cells that had work.", total(\.figures.ticks)),
        ]
    }

    private func publishMetrics(_ cells: [CellReport]) -> [MetricFamily] {
        var figures = CellFigures()
        for cell in cells { figures.add(cell.figures) }
        let outcomes = CellFigures.PublishOutcome.allCases.map { outcome in
            MetricFamily.Sample(.integer(figures.publishes[outcome] ?? 0), .init("outcome", outcome.rawValue))
        }
        let rooted: [MetricFamily.Sample] = [
            .init(.integer(figures.publishedHome), .init("durability", "home")),
            .init(.integer(figures.publishedEphemeral), .init("durability", "ephemeral")),
        ]
        return [
            MetricFamily("heliograph_publishes_total", .counter, help: "Publishes of this node's sessions, by outcome.", samples: outcomes),
            MetricFamily(
                "heliograph_root_publishes_total", .counter, help: "Messages ordered by roots on this node.", samples: rooted),
            .counter("heliograph_root_duplicates_total", help: "Publishes whose key was known.", figures.publishedDuplicate),
            .counter("heliograph_root_append_batches_total", help: "Appends to the store, each of one batch.", figures.appendBatches),
            .counter("heliograph_receipts_total", help: "Receipts of this node's sessions.", figures.receipts),
            .counter(
                "heliograph_root_receipt_writes_total", help: "Writes of receipts to the store, each of a room's latest.",
                figures.receiptWrites),
        ]
    }

    private func storeMetrics(_ cells: [CellReport]) -> [MetricFamily] {
        var latency = LatencyHistogram()
        for cell in cells { latency.add(cell.store.latency) }
        func total(_ value: (StoreFigures) -> UInt64) -> UInt64 { cells.reduce(0) { $0 + value($1.store) } }
        let up = cells.allSatisfy { $0.storeState == .up }
        return [
            .gauge("heliograph_store_up", help: "Whether every cell is connected to the region's store.", up ? 1 : 0),
            .histogram("heliograph_redis_latency_seconds", help: "Round trips to the region's store.", latency),
            .counter("heliograph_redis_commands_total", help: "Commands sent to the region's store.", total(\.commands)),
            .counter("heliograph_redis_failures_total", help: "Commands that were refused, lost or answered too late.", total(\.failures)),
            .counter("heliograph_redis_reconnects_total", help: "Connections to the store after the first.", total(\.reconnects)),
        ]
    }

    private func linkMetrics(_ links: [(NodeID, LinkFigures)], _ ends: [String: UInt64]) -> [MetricFamily] {
        func family(_ name: String, _ kind: MetricFamily.Kind, _ help: String, _ value: (LinkFigures) -> MetricFamily.Value?)
            -> MetricFamily
        {
            let samples = links.sorted { $0.0 < $1.0 }.compactMap { node, figures in
                value(figures).map { MetricFamily.Sample($0, .init("peer", node.description)) }
            }
            return MetricFamily(name, kind, help: help, samples: samples)
        }
        let reasons = ends.sorted { $0.key < $1.key }.map { MetricFamily.Sample(.integer($0.value), .init("reason", $0.key)) }
        return [
            family("heliograph_link_queue_bytes", .gauge, "Bytes that wait for a peer.") { .number(Double($0.queuedBytes)) },
            family("heliograph_link_rtt_seconds", .gauge, "Smoothed round trip to a peer.") { figures in
                figures.roundTrip.smoothed.map { .number(Double($0.nanoseconds) / 1e9) }
            },
            family("heliograph_link_sent_bytes_total", .counter, "Bytes sent to a peer on this link.") { .integer($0.bytesOut) },
            family("heliograph_link_received_bytes_total", .counter, "Bytes received from a peer on this link.") { .integer($0.bytesIn) },
            family("heliograph_link_sent_frames_total", .counter, "Frames sent to a peer on this link.") { .integer($0.framesOut) },
            MetricFamily(
                "heliograph_link_ends_total", .counter, help: "Links and attempts at one that ended, by reason.", samples: reasons),
        ]
    }
}
