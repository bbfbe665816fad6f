// Channels on UDP, and on UDP and fake TCP at once: what holds for fake TCP holds for them too.

import Glibc
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(3))) struct UDPTests {
    @Test(arguments: [
      ("udp", Protection.plain, Offloads.off, AddressFamily.ipv4), ("udp", .sealed, .on, .ipv4),
      ("all", .plain, .on, .ipv4), ("all", .sealed, .off, .ipv4), ("udp", .sealed, .off, .ipv6),
      ("all", .plain, .on, .ipv6), ("udp", .plain, .on, .ipv6), ("all", .sealed, .off, .ipv6),
    ])
    func twentyThousandASecondEachWay(
      type: String, protection: Protection, offloads: Offloads, family: AddressFamily
    ) async throws {
      try await withTwoHosts(offloads: offloads) { client, server in
        let capture = try Capture(in: server.namespace, Datagrams())
        var options = Tunnel.Options(protection, family, type: type)
        // Else one flow keeps to one of the carriers.
        if type == "all" { options.client = ["--schedule=random"] }
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 1400, rate: 20_000, duration: .seconds(10))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load), "client to server: \(up)")
        #expect(down.isComplete(load), "server to client: \(down)")
        let seen = try capture.finish()
        #expect(seen.fragments == 0)
        #expect(type == "udp" ? seen.others == 0 : seen.others > 10_000, "\(seen.others)")
        #expect(seen.datagrams > 10_000)
        try tunnel.stop()
      }
    }

    /// All of it as a user who may do nothing: no packet or raw socket, no rules, no complaint.
    @Test func udpAloneNeedsNoCapability() async throws {
      try await withoutAndWithKey { protection, client, server in
        var options = Tunnel.Options(protection, type: "udp")
        options.grant = .none
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 1000, rate: 2000, count: 4000)
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        for (host, process) in [(client, tunnel.client), (server, tunnel.server)] {
          #expect(try host.run("nft", "list", "ruleset") == "")
          #expect(try host.run("ss", "-Hlnt") == "")
          #expect(try host.run("ss", "-H0lw") == "", "packet and raw sockets")
          #expect(!process.errors.lowercased().contains("cap_"), "\(process.errors)")
          #expect(try process.status()["CapPrm"].map { UInt64($0, radix: 16) } == 0)
        }
        try tunnel.stop()
      }
    }

    @Test func answersLeaveFromTheAddressThatWasSpokenTo() async throws {
      try await together(
        [("udp", "10.77.1.22/24"), ("all", "10.77.1.22/24"), ("udp", "fd77:1::22/64")].map {
          type, network in
          {
            try await withTwoHosts { client, server in
              try server.run("ip", "address", "add", network, "dev", Host.interface)
              let address = try #require(IPAddress(network.prefix { $0 != "/" }))
              let tunnel = try Tunnel(
                from: client, to: server.at(address),
                Tunnel.Options(.plain, address.family, type: type))
              let load = Load(size: 1000, rate: 2000, count: 2000)
              let (up, down) = try tunnel.exchange(up: load, down: load)
              #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
              try tunnel.stop()
            }
          }
        })
    }

    /// A strict NAT, which then gets another address, as one on a line that was cut: the channels go
    /// on behind it, and no new one is opened.
    @Test(arguments: Protection.allCases)
    func goesOnBehindAnotherAddress(protection: Protection) async throws {
      try await withRoutedHosts { client, router, server in
        var options = Tunnel.Options(protection, type: "udp")
        options.common = ["-v"]
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 1400, rate: 5000, duration: .seconds(3))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        try expectGoingOn(tunnel, behindAnotherAddressOf: router)
        #expect(try router.invalidPackets() == 0)
        try tunnel.stop()
      }
    }

    /// One of the two is blocked on the way: neither the start nor a datagram waits for it.
    @Test(arguments: ["udp", "tcp"])
    func allIsAsGoodAsTheOneThatIsLeft(blocked: String) async throws {
      try await withRoutedHosts { client, router, server in
        try router.namespace.run(
          "nft",
          """
          table inet block {
            chain forward {
              type filter hook forward priority 0
              meta l4proto \(blocked) drop
            }
          }
          """)
        let start = now()
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(.sealed, type: "all"))
        #expect(now() - start < .seconds(2), "it starts at once: \(now() - start)")
        let load = Load(size: 1400, rate: 10_000, duration: .seconds(5))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load), "client to server: \(up)")
        #expect(down.isComplete(load), "server to client: \(down)")
        try tunnel.stop()
      }
    }
  }
}

/// Counts packets.
private struct Datagrams: PacketObserver {
  private(set) var datagrams = 0
  private(set) var others = 0
  private(set) var fragments = 0

  mutating func observe(_ packet: CapturedPacket, bytes: RawSpan) {
    if packet.isFragment { fragments += 1 }
    let isIPv4 = bytes.byte(at: 0) >> 4 == 4
    let number = bytes.byte(at: isIPv4 ? 9 : 6)
    if number == 17 { datagrams += 1 }
    if number == 6 { others += 1 }
  }
}
