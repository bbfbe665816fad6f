// --mark, and the loop that it is for: a route that leads the tunnel into a VPN which the tunnel carries.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct MarkTests {
    /// Every packet of the tunnel is marked, those of the raw socket and those of AF_PACKET.
    @Test(arguments: ["auto", "raw"])
    func everythingThatLeavesIsMarked(transmit: String) async throws {
      try await withTwoHosts { client, server in
        for host in [client, server] {
          try host.run(
            "nft",
            """
            table netdev marks {
              chain egress { type filter hook egress device \(Host.interface) priority 0;
                tcp flags & (syn|ack) != 0 meta mark 0x51 counter
                tcp flags & (syn|ack) != 0 meta mark != 0x51 counter
              }
            }
            """)
        }
        var options = Tunnel.Options(.sealed)
        options.common = ["--mark=0x51", "--tx=\(transmit)"]
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 1000, rate: 2_000, duration: .seconds(1))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load))
        try tunnel.stop()
        for host in [client, server] {
          let counts = try packets(host.run("nft", "list", "table", "netdev", "marks"))
          #expect(counts.count == 2 && counts[0] > 20 && counts[1] == 0, "\(counts)")
        }
      }
    }

    /// A tun device whose packets an app sends into the tunnel, and a route to the server by that device:
    /// the tunnel says so, and with a mark, and a table for it, it connects.
    @Test func aLoopIsNamedAndAMarkEndsIt() async throws {
      try await withTwoHosts { client, server in
        let target = try UDPSocket(in: server.namespace, local: Tunnel.exit)
        let serving = try server.startRsock(Tunnel.serverArguments())
        try serving.waitForText("server ready")
        let vpn = try client.start(
          "socat", "UDP4-DATAGRAM:\(Tunnel.entrance)",
          "TUN:10.66.0.1/24,tun-name=vpn0,iff-no-pi,iff-up")
        try wait(for: "vpn0") { (try? client.run("ip", "link", "show", "vpn0")) != nil }
        try client.run("ip", "route", "add", "\(server.address)", "dev", "vpn0")

        let lost = try client.startRsock(Tunnel.clientArguments(to: server))
        try lost.waitForText("a loop: ")
        try pause(.seconds(3))
        #expect(lost.errors.split(separator: "\n").filter { $0.contains("a loop: ") }.count == 1)
        #expect(!lost.errors.contains("connected to"))
        #expect(try lost.terminate() == .exited(0), "\(lost.errors)")

        try client.run("ip", "rule", "add", "fwmark", "81", "lookup", "51")
        try client.run(
          "ip", "route", "add", "\(server.address)", "dev", Host.interface, "src",
          "\(client.address)", "table", "51")
        let program = try client.startRsock(
          Tunnel.clientArguments(to: server) + ["--mark=81"])
        let app = try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
        _ = try Tunnel.join(app, target)
        #expect(!program.errors.contains("a loop: "), "\(program.errors)")
        #expect(try program.terminate() == .exited(0), "\(program.errors)")
        #expect(try serving.terminate() == .exited(0), "\(serving.errors)")
        vpn.killNow()
      }
    }

    @Test func withoutTheCapabilityItSaysSo() async throws {
      try await withTwoHosts { client, server in
        let (status, _, errors) = try client.runRsock(
          Tunnel.clientArguments(to: server) + ["--mark=81"], grant: .rawOnly)
        #expect(status == .exited(77) && errors.isOneSentence, "\(errors)")
        #expect(errors.contains("--mark: ") && errors.contains("setcap"), "\(errors)")
      }
    }
  }
}

/// The packet counts of the counters in nft(8)'s text, in order.
private func packets(_ text: String) throws -> [Int] {
  let words = text.split { " \n\t".contains($0) }
  return words.indices.filter { words[$0] == "packets" }.compactMap { Int(words[$0 + 1]) }
}
