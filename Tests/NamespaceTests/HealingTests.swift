// Paths that change or misbehave under load: what the app notices of it. `ci/test --long` does all of it on each
// carrier, without a key and with one.

import LinkModel
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(2))) struct HealingTests {
    /// The client gets another address, another interface and another default route at once: the app's
    /// flow goes on within a second, and the target sees it come from where it came from before.
    @Test(arguments: kinds(usually: ["tcp", "udp", "icmp", "all"]))
    func theClientMoves(_ type: String, _ protection: Protection) async throws {
      try await withTwoHosts { client, server in
        try addSecondWire(client, server)
        let tunnel = try Tunnel(
          from: client, to: server.at(elsewhere), Tunnel.Options(protection, type: type))
        try tunnel.target.connect(to: tunnel.flow)
        let load = Load(size: 1000, rate: 1000, duration: .seconds(4))
        let up = try Stream(load, from: tunnel.app, to: tunnel.target)
        let down = try Stream(load, from: tunnel.target, to: tunnel.app)
        try pause(.seconds(1))
        try client.run("ip", "route", "replace", "default", "via", "10.78.0.2", "dev", "second")
        try client.run("ip", "address", "flush", "dev", Host.interface)
        // The target is connected: what came from another address would not count.
        for (way, receipt) in [("up", try up.finish()), ("down", try down.finish())] {
          #expect(receipt.longestGap < .seconds(1), "\(type) \(protection), \(way): \(receipt)")
          #expect(receipt.received >= load.count - load.rate!, "\(type), \(way): \(receipt)")
          #expect(receipt.damaged == 0 && receipt.latest.map { now() - $0 < .seconds(3) } == true)
        }
        try tunnel.stop()
      }
    }

    /// A middlebox ends every connection every two seconds: what is lost was on the way.
    @Test(arguments: kinds(of: ["tcp", "all"], usually: ["tcp"]))
    func resetsEveryTwoSeconds(_ type: String, _ protection: Protection) async throws {
      try await withEmulatedLink(["delay 20ms"]) { client, link, server in
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(protection, type: type))
        try tunnel.target.connect(to: tunnel.flow)
        try link.set("reset every 2s")
        let load = Load(size: 1000, rate: 1000, duration: .seconds(11))
        let up = try Stream(load, from: tunnel.app, to: tunnel.target)
        let down = try Stream(load, from: tunnel.target, to: tunnel.app)
        // Five times 20 ms of it may be on the way.
        for (way, receipt) in [("up", try up.finish()), ("down", try down.finish())] {
          #expect(receipt.received >= load.count - 100, "\(type) \(protection), \(way): \(receipt)")
          #expect(receipt.damaged == 0 && receipt.duplicated == 0)
        }
        try link.set("reset none")
        if type == "tcp" { #expect(try link.report().down[.resets] > 0) }
        try tunnel.stop()
      }
    }

    /// A second each way, as over two satellites.
    @Test(arguments: kinds(usually: ["tcp"]))
    func aRoundTripOfTwoSeconds(_ type: String, _ protection: Protection) async throws {
      try await withEmulatedLink(["delay 1s"]) { client, _, server in
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(protection, type: type))
        try tunnel.target.connect(to: tunnel.flow)
        let load = Load(size: 1000, rate: 500, duration: .seconds(10))
        let up = try Stream(load, from: tunnel.app, to: tunnel.target)
        let down = try Stream(load, from: tunnel.target, to: tunnel.app)
        for receipt in [
          try up.finish(quiet: .seconds(3)), try down.finish(quiet: .seconds(3)),
        ] {
          #expect(receipt.isComplete(load), "\(type) \(protection): \(receipt)")
        }
        try tunnel.stop()
      }
    }

    /// 50 Mbit/s on six ports keep their order.
    @Test(arguments: kinds(usually: ["tcp", "all"]))
    func fiftyMegabitsKeepTheirOrder(_ type: String, _ protection: Protection) async throws {
      try await withTwoHosts(offloads: .off) { client, server in
        let tunnel = try Tunnel(
          from: client, to: server, Tunnel.Options(protection, type: type, ports: "10001-10006"))
        let load = Load(size: 1400, rate: 50_000_000 / 8 / 1400, duration: .seconds(6))
        let receipts = try tunnel.exchange(up: load, down: load)
        for receipt in [receipts.up, receipts.down] {
          #expect(receipt.isComplete(load), "\(type) \(protection): \(receipt)")
          #expect(receipt.reordered * 1000 < load.count, "\(type) \(protection): \(receipt)")
        }
        try tunnel.stop()
      }
    }
  }
}

/// The carriers of a test, without a key and with one; where not all is tested some of them, with a key.
private func kinds(
  of all: [String] = ["tcp", "udp", "icmp", "all"], usually few: [String]
) -> [(String, Protection)] {
  guard areLongTestsWanted else { return few.map { ($0, .sealed) } }
  return all.flatMap { type in Protection.allCases.map { (type, $0) } }
}

/// The server's address that the client reaches by its default route only.
private let elsewhere = IPAddress(ipv4: 0x0A63_0001)

private func addSecondWire(_ client: Host, _ server: Host) throws {
  try server.run("ip", "address", "add", "\(elsewhere)/32", "dev", "lo")
  try client.run(
    "ip", "link", "add", "second", "type", "veth", "peer", "name", "second", "netns",
    server.namespace.name)
  for (host, address) in [(client, "10.78.0.1/24"), (server, "10.78.0.2/24")] {
    try host.run("ip", "address", "add", address, "dev", "second")
    try host.run("ip", "link", "set", "second", "up")
  }
  try client.run("ip", "route", "add", "default", "via", "\(server.address)")
}
