// Configuration files as the original writes them.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct ConfigurationTests {
    @Test func theOriginalsFilesWork() async throws {
      try await withTwoHosts { client, server in
        let serverFile = try write(
          """
          {
            "daemon": 0, "verbose": 0,
            "param": {
              "dev": "eth0", "lcapIp": "\(server.address)", "ports": "80,443, 10000-10005",
              "taddr": "\(Tunnel.exit)", "duration": 600, "type": "tcp", "hash": "hello135",
              "keepalive": 4, "cap_timeout": 10
            }
          }
          """, name: "server.json")
        let clientFile = try write(
          """
          {
            "daemon": 0, "verbose": 0,
            "param": {
              "dev": "eth0", "ludp": "\(Tunnel.entrance)", "ports": "80,443, 10000-10005",
              "taddr": "\(server.address)", "duration": 600, "type": "tcp", "hash": "hello135",
              "keepalive": 4, "cap_timeout": "10"
            }
          }
          """, name: "client.json")
        let programs = [
          try server.startRsock(["server", "-f", serverFile]),
          try client.startRsock(["client", "-f", clientFile]),
        ]
        let target = try UDPSocket(in: server.namespace, local: Tunnel.exit)
        let app = try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
        _ = try Tunnel.join(app, target)
        let listening = try server.run("ss", "-Hlnt")
        for port in [80, 443, 10000, 10005] { #expect(listening.contains(":\(port) ")) }
        for program in programs {
          #expect(try program.terminate() == .exited(0), "\(program.errors)")
        }
      }
    }

    /// Eight channels of each carrier to one port, through a strict NAT: all are used, both ways.
    @Test func severalChannelsToOnePort() async throws {
      try await withRoutedHosts { client, router, server in
        var options = Tunnel.Options(.sealed, type: "all", ports: "10001")
        options.client = ["--channels=8", "--schedule=random"]
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 1000, rate: 2000, duration: .seconds(2))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        let channels = try client.status().sessions[0].channels
        for carrier in ["tcp", "udp"] {
          let own = channels.filter { $0.carrier == carrier }
          #expect(own.count == 8 && Set(own.map(\.local)).count == 8, "\(channels)")
          #expect(own.allSatisfy { $0.sent.datagrams > 0 && $0.received.datagrams > 0 })
        }
        #expect(try router.invalidPackets() == 0)
        try tunnel.stop()
      }
    }
  }
}

private func write(_ text: String, name: String) throws -> String {
  let path = try Installation.directory.get() + "/\(name)"
  try writeFile(path, text)
  return path
}
