// Datagrams of any size, on paths of any.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(3))) struct SizeTests {
    @Test(arguments: [1500, 1280], TunnelKind.some + [.tcpAndUDP])
    func everySizeArrivesBothWays(mtu: Int, kind: TunnelKind) async throws {
      try await withTwoHosts(offloads: .off) { client, server in
        for host in [client, server] { try host.setMTU(mtu) }
        let capture = try Capture(in: server.namespace, Judges(kind.protection, mtu: mtu))
        let tunnel = try Tunnel(from: client, to: server, kind.options)
        try expectEverySize(tunnel)
        for end in [tunnel.client, tunnel.server] { try end.waitForText(kind.sentence(mtu: mtu)) }
        try expectClean(capture)
        try tunnel.stop()
      }
    }

    /// A router drops every packet over 1400 bytes and says nothing. Offloads are off: a run that is not
    /// cut yet would count as one packet there.
    @Test(arguments: TunnelKind.some + [.tcpAndUDP])
    func everySizeArrivesWhereLargePacketsAreDropped(kind: TunnelKind) async throws {
      try await withRoutedHosts(offloads: .off, outerOffloads: .off) { client, router, server in
        try router.drop(packetsOver: 1400)
        let capture = try Capture(in: server.namespace, Judges(kind.protection))
        let tunnel = try Tunnel(from: client, to: server, kind.options)
        try expectEverySize(tunnel)
        for end in [tunnel.client, tunnel.server] { try end.waitForText(kind.sentence(mtu: 1400)) }
        let load = Load(size: 1400, rate: 5000, duration: .seconds(2))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        try expectClean(capture)
        #expect(try router.invalidPackets() == 0)
        try tunnel.stop()
      }
    }

    /// The same begins under load: within a second nothing is lost any more.
    @Test(arguments: TunnelKind.some)
    func aPathMayShrink(kind: TunnelKind) async throws {
      try await withRoutedHosts(offloads: .off, outerOffloads: .off) { client, router, server in
        let tunnel = try Tunnel(from: client, to: server, kind.options)
        for end in [tunnel.client, tunnel.server] { try end.waitForText(kind.sentence(mtu: 1500)) }
        try tunnel.target.connect(to: tunnel.flow)
        let load = Load(size: 1400, rate: 2000, duration: .seconds(3))
        let up = try Stream(load, from: tunnel.app, to: tunnel.target)
        let down = try Stream(load, from: tunnel.target, to: tunnel.app)
        try pause(.seconds(1))
        try router.drop(packetsOver: 1400)
        for stream in [up, down] {
          let receipt = try stream.finish()
          #expect(receipt.received < load.count, "large packets are dropped: \(receipt)")
          #expect(load.count - receipt.received < 2000, "a second's: \(receipt)")
        }
        let (again, back) = try tunnel.exchange(up: load, down: load)
        #expect(again.isComplete(load) && back.isComplete(load), "\(again) \(back)")
        try tunnel.stop()
      }
    }

    /// A router that says what it carries is believed at once, about fake TCP: no link has an MTU of 1337,
    /// so no probe finds it. To the other side the cable itself drops what is larger, without a word.
    @Test(arguments: TunnelKind.some, [true, false])
    func aRouterIsBelieved(kind: TunnelKind, isClientTold: Bool) async throws {
      try await withRoutedHosts(offloads: .off, outerOffloads: .off) { client, router, server in
        try router.namespace.run(
          "ip", "link", "set", isClientTold ? Router.outside : Router.inside, "mtu", "1337")
        let tunnel = try Tunnel(from: client, to: server, kind.options)
        let (told, other) =
          isClientTold ? (tunnel.client, tunnel.server) : (tunnel.server, tunnel.client)
        // Of packets that are not fake TCP's the kernel is told, and may remember that for channels that
        // open later.
        let found = (kind.type == "tcp" ? [1337] : [1320, 1337]).map { kind.sentence(mtu: $0) }
        _ = try? wait(for: "a size") { found.contains { told.errors.contains($0) } }
        #expect(found.contains { told.errors.contains($0) }, "\(told.errors)")
        try other.waitForText(kind.sentence(mtu: 1320))
        try expectEverySize(tunnel)
        for end in [told, other] { #expect(!end.errors.contains("too long"), "\(end.errors)") }
        try tunnel.stop()
      }
    }

    /// What an interface carries is obeyed at once, and found out anew where that is more again.
    @Test(arguments: TunnelKind.some)
    func interfacesChange(kind: TunnelKind) async throws {
      try await withTwoHosts(offloads: .off) { client, server in
        let tunnel = try Tunnel(from: client, to: server, kind.options)
        for mtu in [1500, 1280, 1500] {
          for host in [client, server] { try host.setMTU(mtu) }
          for host in [client, server] {
            try wait(for: kind.sentence(mtu: mtu)) {
              try host.runRsock(["status"]).output.contains(kind.sentence(mtu: mtu))
            }
          }
          let capture = try Capture(in: server.namespace, Judges(kind.protection, mtu: mtu))
          try expectEverySize(tunnel)
          let judge = try capture.finish().capture
          #expect(judge.fragments + judge.tooLarge + judge.badChecksums == 0, "\(judge)")
        }
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

/// Nothing is fragmented or larger than the MTU, and fake TCP is whole.
private func expectClean(_ capture: Capture<Judges>) throws {
  let judges = try capture.finish()
  #expect(judges.capture.isClean, "\(judges.capture)")
  #expect(judges.window.invalid == 0, "\(judges.window)")
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
