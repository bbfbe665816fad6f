// A masquerading router with strict connection tracking, and older kernels' idea of a window, find
// nothing wrong with any segment. Without a key and with one: sealed data has four times as much in
// flight, all that the window allows.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(2))) struct StrictNATTests {
    @Test(arguments: [Offloads.on, .off], Protection.allCases)
    func bothWays(offloads: Offloads, protection: Protection) async throws {
      let load = Load(size: 1400, rate: 20_000, duration: .seconds(10))
      try await judge(
        up: load, down: load, Tunnel.Options(protection), offloads: offloads, paced: true)
    }

    /// Every kind of tunnel, several at once and slower.
    @Test func ofEveryKind() async throws {
      try await withEveryKind { kind in
        let load = Load(size: 1400, rate: 500, duration: .seconds(3))
        try await judge(up: load, down: load, kind.options, offloads: .off)
      }
    }

    /// The router translates IPv6 addresses, too.
    @Test(arguments: Protection.allCases)
    func bothWaysOnIPv6(protection: Protection) async throws {
      let load = Load(size: 1400, rate: 10_000, duration: .seconds(4))
      try await judge(up: load, down: load, Tunnel.Options(protection, .ipv6), paced: true)
    }

    @Test(arguments: TunnelKind.usually(TunnelKind.tcp))
    func twoHundredMegabytesUpOnly(kind: TunnelKind) async throws {
      let load = Load(size: 1400, rate: 25_000, count: 150_000)
      try await judge(up: load, down: nil, kind.options)
    }

    @Test(arguments: TunnelKind.usually(TunnelKind.tcp))
    func twoHundredMegabytesDownOnly(kind: TunnelKind) async throws {
      let load = Load(size: 1400, rate: 25_000, count: 150_000)
      try await judge(up: nil, down: load, kind.options)
    }

    @Test(arguments: Protection.allCases)
    func acrossTheWrapOfTheSequenceNumber(protection: Protection) async throws {
      var options = Tunnel.Options(protection, ports: "10001")
      options.client = ["--test-isn=4294900000"]
      let load = Load(size: 1400, rate: 10_000, count: 20_000)
      let wraps = try await judge(up: load, down: load, options)
      #expect(wraps == 1, "the client's numbers wrap")
    }
  }
}

/// Sends the loads through a strict router and judges them on both its sides. Returns how often
/// sequence numbers wrapped.
@discardableResult
private func judge(
  up: Load?, down: Load?, _ options: Tunnel.Options, offloads: Offloads = .on, paced: Bool = false
) async throws -> Int {
  try await withRoutedHosts(offloads: offloads, outerOffloads: .off) { client, router, server in
    let inside = try Capture(of: Router.inside, in: router.namespace, Judges(options.protection))
    let outside = try Capture(of: Router.outside, in: router.namespace, Judges(options.protection))
    let tunnel = try Tunnel(from: client, to: server, options)
    let receipts = try tunnel.exchange(up: up, down: down)
    let kind = "\(options.type), \(options.protection), \(options.family)"
    if let up { #expect(receipts.up.isComplete(up), "\(kind), up: \(receipts.up)") }
    if let down { #expect(receipts.down.isComplete(down), "\(kind), down: \(receipts.down)") }
    let views = [("inside", try inside.finish()), ("outside", try outside.finish())]
    for (place, judges) in views {
      #expect(judges.capture.isClean, "\(place): \(judges.capture)")
      #expect(judges.window.invalid == 0, "\(place): \(judges.window)")
      if paced {
        #expect(judges.capture.acknowledgesSparingly, "\(place): \(judges.capture)")
      }
    }
    try tunnel.stop()
    #expect(try router.invalidPackets() == 0)
    #expect(try router.resets() == 0)
    return views[0].1.window.wraps
  }
}
