// Networks that end a connection after so many bytes, and channels that make room for others before.

import LinkModel
import NamespaceSupport
import Testing

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct RotationTests {
    /// Connections make room for others before the network freezes them.
    @Test(arguments: ["tcp", "udp"])
    func frozenConnectionsLoseNothing(type: String) async throws {
      try await expectNoneFrozen(type)
    }

    /// The same where the kernel has 200 source ports to draw from: what the network has counted on a connection it
    /// counts on where another one has its ports.
    @Test(arguments: ["tcp", "udp"])
    func portsRest(type: String) async throws {
      try await expectNoneFrozen(type, sourcePorts: "40000 40199")
    }

    /// Connections that age do so without a gap, while one flow goes on.
    @Test func agedConnectionsAreReplaced() async throws {
      try await withTwoHosts { client, server in
        var options = Tunnel.Options(.sealed)
        options.type = "all"
        options.client = ["--rotate=10s"]
        let tunnel = try Tunnel(from: client, to: server, options)
        let first = try client.status().sessions[0].channels.map(\.id)
        let load = Load(size: 1000, rate: 2000, duration: .seconds(12))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        let now = try client.status().sessions[0].channels
        #expect(Set(first).isDisjoint(with: now.map(\.id)))
        #expect(now.count { $0.state == "healthy" } == first.count)
        try tunnel.stop()
      }
    }
  }
}

/// Sends 100 kB a second each way over connections of 16 kB, of which the network drops the rest: it drops nothing.
private func expectNoneFrozen(_ type: String, sourcePorts: String? = nil) async throws {
  let network = ["delay 10ms", "blackhole flows after 16384"]
  try await withEmulatedLink(network) { client, link, server in
    if let sourcePorts {
      try client.namespace.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=\(sourcePorts)")
    }
    var options = Tunnel.Options(.sealed, type: type)
    options.client = ["--rotate=16k"]
    let tunnel = try Tunnel(from: client, to: server, options)
    let load = Load(size: 1000, rate: 100, duration: .seconds(5))
    let (up, down) = try tunnel.exchange(up: load, down: load)
    #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
    let report = try link.report()
    let flows = try link.flows()
    #expect(report.up[.blackholed] + report.down[.blackholed] == 0, "\(flows)")
    let opened = try client.status().channelsOpened
    #expect((60...400).contains(opened), "\(opened) channels")
    try tunnel.stop()
  }
}
