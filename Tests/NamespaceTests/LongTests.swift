// What shows after many minutes only: `ci/test --long`.

import Glibc
import NamespaceSupport
import Testing
import Wire

/// Whether this is `ci/test --long`.
var areLongTestsWanted: Bool { unsafe getenv("RSOCK_LONG") != nil }

extension NamespaceTests {
  @Suite(.enabled(if: areLongTestsWanted), .timeLimit(.minutes(20)))
  struct LongTests {
    /// Nobody sends anything for six minutes.
    @Test func anIdleClientTakesLessThanAMegabyteADay() async throws {
      try await together(
        everyKind { options in
          try await withTwoHosts(offloads: .off) { client, server in
            let tunnel = try Tunnel(from: client, to: server, options)
            try pause(.seconds(10))
            let capture = try Capture(in: client.namespace, ByteCount())
            try pause(.seconds(360))
            let perDay = try capture.finish().bytes * (86_400 / 360)
            #expect(
              perDay > 0 && perDay < 1_000_000,
              "\(options.type) \(options.protection): \(perDay) bytes a day")
            try tunnel.stop()
          }
        })
    }

    /// After twelve minutes of silence the target speaks first.
    @Test func aNATThatForgetsLetsTheServerReachTheClient() async throws {
      try await together(
        everyKind { options in
          try await withRoutedHosts { client, router, server in
            for (name, seconds) in [
              ("udp_timeout", 30), ("udp_timeout_stream", 30), ("icmp_timeout", 30),
              ("tcp_timeout_established", 600),
            ] {
              try router.namespace.run(
                "sysctl", "-qw", "net.netfilter.nf_conntrack_\(name)=\(seconds)")
            }
            let tunnel = try Tunnel(from: client, to: server, options)
            try tunnel.target.connect(to: tunnel.flow)
            try pause(.seconds(720))
            let load = Load(size: 1000, rate: 100, count: 100)
            let receipt = try Stream(load, from: tunnel.target, to: tunnel.app).finish()
            #expect(
              receipt.isComplete(load), "\(options.type) \(options.protection): \(receipt)")
            try tunnel.stop()
          }
        })
    }
  }
}

/// The body for each carrier, without a key and with one. Flows outlive the silence.
private func everyKind(
  _ body: @escaping @Sendable (Tunnel.Options) async throws -> Void
) -> [@Sendable () async throws -> Void] {
  ["tcp", "udp", "icmp", "all"].flatMap { type in
    Protection.allCases.map { protection in
      { @Sendable in
        var options = Tunnel.Options(protection, type: type)
        options.common = ["--duration=1800"]
        try await body(options)
      }
    }
  }
}

/// The bytes of the packets that pass, both ways, with Ethernet's headers. Only the tunnel sends IP here.
private struct ByteCount: PacketObserver {
  var bytes = 0

  mutating func observe(_ packet: CapturedPacket, bytes _: RawSpan) {
    bytes += 14 + packet.largestPacket
  }
}
