// Channels that fail under load: what the schedules make of it.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct ScheduleTests {
    /// The busiest one of six ports is a black hole, both ways, under 20 Mbit/s.
    @Test(arguments: ["adaptive", "redundant"])
    func oneOfSixPortsIsBlackholed(_ schedule: String) async throws {
      try await withoutAndWithKey { protection, client, server in
        var options = Tunnel.Options(protection, ports: "10001-10006")
        options.client = ["--schedule=\(schedule)"]
        let tunnel = try Tunnel(from: client, to: server, options)
        try tunnel.target.connect(to: tunnel.flow)
        try watchPorts(of: server)
        let rate = 20_000_000 / 8 / 1400
        // nft may take two seconds where the machine is busy.
        let load = Load(size: 1400, rate: rate, duration: .milliseconds(4500))
        let stream = try Stream(load, from: tunnel.app, to: tunnel.target)
        try pause(.seconds(1))
        let port = try busiestPort(of: server)
        try server.run("nft", "insert rule netdev watch i tcp dport \(port) drop")
        try client.run("nft", "add table netdev watch")
        try client.run("nft", "add chain netdev watch i \(hook)")
        try client.run("nft", "add rule netdev watch i tcp sport \(port) drop")
        let during = try stream.finish()
        // One second after, nothing is lost any more, and nothing waits.
        let later = Load(size: 1400, rate: rate, duration: .seconds(3), seed: 2)
        let after = try Stream(later, from: tunnel.app, to: tunnel.target).finish()
        #expect(after.received == after.sent)
        #expect(after.longestGap < .milliseconds(300))
        #expect(during.duplicated + after.duplicated == 0)
        let lost = during.sent - during.received
        if schedule == "redundant" {
          #expect(lost == 0)
          #expect(during.longestGap < .milliseconds(300))
        } else {
          #expect(lost > 0)
          #expect(lost < rate)
        }
        try tunnel.stop()
      }
    }

    /// Each connection is limited to a rate that six do not make enough of: more are opened, both ways' losses end,
    /// and it is said.
    @Test(arguments: ["tcp", "udp"])
    func limitedConnectionsBecomeMore(type: String) async throws {
      let network = ["delay 5ms", "police tcp 4mbit 40k", "police udp 4mbit 40k"]
      try await withEmulatedLink(network) { client, link, server in
        let options = Tunnel.Options(.sealed, type: type, ports: "10001-10006")
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 1400, rate: 30_000_000 / 8 / 1400, duration: .seconds(7))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.received < up.sent && down.received < down.sent)
        let channels = try client.status().sessions[0].channels
        #expect((12...16).contains(channels.count { $0.state == "healthy" }))
        let later = Load(size: 1400, rate: 30_000_000 / 8 / 1400, duration: .seconds(3), seed: 2)
        let (laterUp, laterDown) = try tunnel.exchange(up: later, down: later)
        #expect(laterUp.isComplete(later) && laterDown.isComplete(later), "\(laterUp) \(laterDown)")
        #expect(tunnel.client.errors.contains("opening more, 12 of each carrier in all"))
        try tunnel.stop()
      }
    }

    /// The carrier that the flow is on is blocked on the way, and the other one is there.
    @Test(arguments: ["adaptive", "redundant"])
    func oneOfTwoCarriersIsBlocked(_ schedule: String) async throws {
      try await withRoutedHosts { client, router, server in
        var options = Tunnel.Options(.sealed, type: "all")
        options.client = ["--schedule=\(schedule)"]
        let tunnel = try Tunnel(from: client, to: server, options)
        try tunnel.target.connect(to: tunnel.flow)
        let load = Load(size: 1400, rate: 20_000_000 / 8 / 1400, duration: .milliseconds(2500))
        let stream = try Stream(load, from: tunnel.app, to: tunnel.target)
        try pause(.milliseconds(1500))
        let channels = try client.status().sessions[0].channels
        let home = try #require(channels.max { $0.sent.datagrams < $1.sent.datagrams })
        try router.namespace.run(
          "nft",
          "table inet block { chain f { type filter hook forward priority 0;"
            + " meta l4proto \(home.carrier) drop; }; }")
        let during = try stream.finish()
        let later = Load(size: 1400, rate: 2000, duration: .seconds(2), seed: 2)
        let after = try Stream(later, from: tunnel.app, to: tunnel.target).finish()
        #expect(after.received == after.sent)
        #expect(during.duplicated + after.duplicated == 0)
        let lost = during.sent - during.received
        #expect(schedule == "redundant" ? lost == 0 : lost > 0 && lost < load.rate ?? 0)
        try tunnel.stop()
      }
    }

    /// Datagrams that are cut go twice as well, and come once; to a target that answers with its own.
    @Test(arguments: Protection.allCases)
    func largeDatagramsComeOnce(protection: Protection) async throws {
      try await withTwoHosts { client, server in
        var options = Tunnel.Options(protection)
        options.client = ["--schedule=redundant"]
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 9000, rate: 500, duration: .seconds(2))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        #expect(up.duplicated == 0 && down.duplicated == 0)
        try tunnel.stop()
      }
    }
  }
}

/// Where nftables sees what comes in before the program does.
private let hook = "{ type filter hook ingress device \(Host.interface) priority -500; }"

private func watchPorts(of server: Host) throws {
  try server.run("nft", "add table netdev watch")
  try server.run("nft", "add chain netdev watch i \(hook)")
  for port in 10_001...10_006 {
    try server.run("nft", "add rule netdev watch i tcp dport \(port) counter")
  }
}

/// The port that most bytes came in at, by lines such as `tcp dport 10001 counter packets 3 bytes 180`.
private func busiestPort(of server: Host) throws -> Int {
  let lines = try server.run("nft", "list", "chain", "netdev", "watch", "i").split(separator: "\n")
  let counts = lines.compactMap { line -> (port: Int, bytes: Int)? in
    let words = line.split(whereSeparator: \.isWhitespace)
    guard words.count >= 8, words[1] == "dport", let port = Int(words[2]),
      let bytes = Int(words[7])
    else { return nil }
    return (port, bytes)
  }
  return try #require(counts.max { $0.bytes < $1.bytes }).port
}
