// Channels on ICMP echo, alone and beside the others, with real packets: what holds for fake TCP holds for
// them too, and anybody's pings go on.

import Glibc
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(3))) struct ICMPTests {
    @Test(arguments: [
      ("icmp", Protection.plain, Offloads.off, AddressFamily.ipv4), ("icmp", .sealed, .on, .ipv4),
      ("icmp", .sealed, .off, .ipv6), ("icmp", .plain, .on, .ipv6),
      ("tcp,udp,icmp", .sealed, .on, .ipv4),
    ])
    func twentyThousandASecondEachWay(
      type: String, protection: Protection, offloads: Offloads, family: AddressFamily
    ) async throws {
      try await withTwoHosts(offloads: offloads) { client, server in
        let capture = try Capture(in: server.namespace, Echoes())
        var options = Tunnel.Options(protection, family, type: type)
        // Else one flow keeps to one of the carriers.
        if type != "icmp" { options.client = ["--schedule=random"] }
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 1400, rate: 20_000, duration: .seconds(10))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load), "client to server: \(up)")
        #expect(down.isComplete(load), "server to client: \(down)")
        let seen = try capture.finish()
        #expect(seen.fragments == 0 && seen.reflected == 0 && seen.misdirected == 0, "\(seen)")
        // A run is one segment here and up to 64 of the others.
        let least = type == "icmp" ? load.count : 1000
        #expect(seen.requests > least && seen.replies > least, "\(seen)")
        #expect(type == "icmp" ? seen.others == 0 : seen.others > 10_000, "\(seen)")
        try tunnel.stop()
        for host in [client, server] { #expect(try host.run("nft", "list", "ruleset") == "") }
      }
    }

    /// Before, during and after: pings of either end are answered, all of them, by the kernels.
    @Test(arguments: AddressFamily.allCases)
    func pingsGoOn(family: AddressFamily) async throws {
      try await withTwoHosts { client, server in
        try ping(from: client, to: server, family)
        let capture = try Capture(in: server.namespace, Echoes())
        let tunnel = try Tunnel(
          from: client, to: server, Tunnel.Options(.sealed, family, type: "icmp"))
        let pinger = Background {
          do {
            for _ in 0..<3 {
              try ping(from: client, to: server, family)
              try ping(from: server, to: client, family)
            }
            return ""
          } catch { return "\(error)" }
        }
        let load = Load(size: 1000, rate: 2000, duration: .seconds(8))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        #expect(pinger.join() == "")
        let seen = try capture.finish()
        #expect(seen.reflected == 0 && seen.misdirected == 0, "\(seen)")
        // Twenty asked and answered, each of two sizes, six times.
        #expect(seen.pings == 2 * 2 * 20 * 6, "\(seen)")
        try tunnel.stop()
        try ping(from: client, to: server, family)
      }
    }

    /// A container that withholds CAP_NET_ADMIN: the kernel answers, which is said once, and does no harm.
    /// Where it answers no pings at all, there is nothing to say.
    @Test(arguments: [false, true])
    func withoutRulesTheKernelAnswersToo(isSilenced: Bool) async throws {
      try await withoutAndWithKey { protection, client, server in
        if isSilenced {
          try server.run(
            "sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1", "net.ipv6.icmp.echo_ignore_all=1")
        }
        let capture = try Capture(in: server.namespace, Echoes())
        var options = Tunnel.Options(protection, type: "icmp")
        options.grant = .rawOnly
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 1000, rate: 2000, count: 4000)
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        let seen = try capture.finish()
        #expect(isSilenced == (seen.reflected == 0), "\(seen)")
        let mentions = tunnel.server.errors.count(of: "icmp_echo_ignore_all")
        #expect(mentions == (isSilenced ? 0 : 1), "\(tunnel.server.errors)")
        try tunnel.stop()
      }
    }

    @Test(arguments: ["server", "client"])
    func withoutCapabilitiesItSaysHowToGrantThem(role: String) async throws {
      try await withTwoHosts { client, server in
        let options = Tunnel.Options(.plain, type: "icmp")
        let arguments =
          role == "server"
          ? try Tunnel.serverArguments(options).filter { !$0.hasPrefix("--ports") }
          : try Tunnel.clientArguments(to: server, options)
        let (status, _, errors) = try client.runRsock(arguments, grant: .none)
        #expect(status == .exited(77), "\(errors)")
        let last = errors.split(separator: "\n").last.map { "\($0)\n" } ?? ""
        #expect(last.isOneSentence && last.contains("setcap"), "\(errors)")
        #expect(try client.run("nft", "list", "ruleset") == "")
      }
    }

    @Test(arguments: Protection.allCases, AddressFamily.allCases)
    func theRawSocketCarriesEverything(
      protection: Protection, family: AddressFamily
    ) async throws {
      try await withTwoHosts(offloads: .off) { client, server in
        var options = Tunnel.Options(protection, family, type: "icmp")
        options.common = ["--tx=raw"]
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 1400, rate: 5000, duration: .seconds(2))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        try tunnel.stop()
      }
    }

    /// A router that translates identifiers and trusts nobody finds nothing wrong with any message.
    @Test(arguments: Protection.allCases, AddressFamily.allCases)
    func aStrictRouterLetsEverythingPass(
      protection: Protection, family: AddressFamily
    ) async throws {
      try await withRoutedHosts { client, router, server in
        let tunnel = try Tunnel(
          from: client, to: server, Tunnel.Options(protection, family, type: "icmp"))
        let load = Load(size: 1400, rate: 10_000, duration: .seconds(4))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load), "client to server: \(up)")
        #expect(down.isComplete(load), "server to client: \(down)")
        try tunnel.stop()
        #expect(try router.invalidPackets() == 0)
      }
    }

    /// The router then gets another address: the channels go on behind it, and no new one is opened. (What
    /// still comes to the old one is invalid to it, as a reply that nothing was asked for.)
    @Test(arguments: Protection.allCases)
    func goesOnBehindAnotherAddress(protection: Protection) async throws {
      try await withRoutedHosts { client, router, server in
        var options = Tunnel.Options(protection, type: "icmp")
        options.common = ["-v"]
        let tunnel = try Tunnel(from: client, to: server, options)
        try expectGoingOn(tunnel, behindAnotherAddressOf: router)
        try tunnel.stop()
      }
    }

    /// Two of three are blocked on the way: neither the start nor a datagram waits for them.
    @Test(arguments: ["tcp", "udp", "icmp"])
    func oneOfThreeIsEnough(left: String) async throws {
      try await withRoutedHosts { client, router, server in
        let blocked = ["tcp", "udp", "icmp"].filter { $0 != left }.joined(separator: ", ")
        try router.namespace.run(
          "nft",
          """
          table inet block {
            chain forward {
              type filter hook forward priority 0
              meta l4proto { \(blocked) } drop
            }
          }
          """)
        let start = now()
        let tunnel = try Tunnel(
          from: client, to: server, Tunnel.Options(.sealed, type: "tcp,udp,icmp"))
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

/// Twenty pings of each of two sizes, of which none is lost.
private func ping(from host: Host, to other: Host, _ family: AddressFamily) throws {
  for size in ["56", "1400"] {
    let text = try host.run(
      "ping", "-q", "-c", "20", "-i", "0.02", "-W", "2", "-s", size, "\(other.address(family))")
    guard text.contains("20 packets transmitted, 20 received"), !text.contains("duplicates") else {
      throw Failure("pings were lost: \(text)")
    }
  }
}

/// Counts echo messages by what they are.
private struct Echoes: PacketObserver {
  /// Those of a tunnel.
  private(set) var requests = 0
  private(set) var replies = 0
  /// A kernel's answers to a tunnel's requests.
  private(set) var reflected = 0
  /// A tunnel's that a server should not have sent, or a client.
  private(set) var misdirected = 0
  /// Anybody's, asked or answered.
  private(set) var pings = 0
  /// TCP and UDP.
  private(set) var others = 0
  private(set) var fragments = 0

  mutating func observe(_ packet: CapturedPacket, bytes: RawSpan) {
    if packet.isFragment { fragments += 1 }
    let isIPv4 = bytes.byte(at: 0) >> 4 == 4
    let number = bytes.byte(at: isIPv4 ? 9 : 6)
    if number == 6 || number == 17 { others += 1 }
    let start = isIPv4 ? 20 : 40
    guard number == (isIPv4 ? 1 : 58), bytes.byteCount >= start + 12 else { return }
    let (ask, answer) = isIPv4 ? (UInt8(8), UInt8(0)) : (128, 129)
    let type = bytes.byte(at: start)
    guard type == ask || type == answer else { return }
    let badge = (0..<4).map { bytes.byte(at: start + 8 + $0) }
    switch (type == ask, String(decoding: badge, as: UTF8.self)) {
    case (true, "RSCQ"): requests += 1
    case (false, "RSCA"): replies += 1
    case (false, "RSCQ"): reflected += 1
    case (true, "RSCA"): misdirected += 1
    default: pings += 1
    }
    // The client has the lower address.
    let (source, destination) = bytes.addresses
    if badge.starts(with: Array("RSC".utf8)), (source.low < destination.low) != (type == ask) {
      misdirected += 1
    }
  }
}
