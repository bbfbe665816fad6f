// Datagrams of any size, on paths of any.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(2))) struct SizeTests {
    @Test(arguments: [1500, 1280], Protection.allCases)
    func everySizeArrivesBothWays(mtu: Int, protection: Protection) async throws {
      try await withTwoHosts(offloads: .off) { client, server in
        for host in [client, server] { try host.setMTU(mtu) }
        let capture = try Capture(in: server.namespace, Judges(protection, mtu: mtu))
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(protection))
        try expectEverySize(tunnel)
        let judges = try capture.finish()
        #expect(judges.capture.isClean, "\(judges.capture)")
        #expect(judges.window.invalid == 0, "\(judges.window)")
        try tunnel.stop()
      }
    }

    /// Large datagrams under load: the pieces of each are a run that the kernel or the card cuts.
    @Test(arguments: [Offloads.on, .off], Protection.allCases)
    func largeDatagramsUnderLoad(offloads: Offloads, protection: Protection) async throws {
      try await withTwoHosts(offloads: offloads) { client, server in
        let capture = try Capture(in: server.namespace, Judges(protection))
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(protection))
        let load = Load(size: 9000, rate: 1000, duration: .seconds(3))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load), "client to server: \(up)")
        #expect(down.isComplete(load), "server to client: \(down)")
        let judges = try capture.finish()
        #expect(judges.capture.isClean, "\(judges.capture)")
        #expect(judges.window.invalid == 0, "\(judges.window)")
        try tunnel.stop()
      }
    }
  }
}

/// Sends ten datagrams of each size each way.
private func expectEverySize(_ tunnel: Tunnel) throws {
  var random = SeededRandom(seed: 4)
  for size in [1, 1400, 1472, 9000, 65_507] {
    for _ in 0..<10 {
      let bytes = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
      try tunnel.app.send(bytes)
      let up = try tunnel.target.receive(within: .seconds(2))
      #expect(up?.bytes == bytes, "\(size) bytes to the server")
      try tunnel.target.send(bytes, to: tunnel.flow)
      let down = try tunnel.app.receive(within: .seconds(2))
      #expect(down?.bytes == bytes, "\(size) bytes to the client")
    }
  }
}
