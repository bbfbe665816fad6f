// Our table and its texts against real packets: the kernel's TCP stays silent, the tap and our
// own segments do not notice, and what is only forwarded passes.

import CLinux
import Glibc
import Kernel
import Testing
import Wire

@Suite struct RulesetTrafficTests {
  private static let ours = PortSet([8443...8443])

  /// How the rules come into a namespace.
  enum Installation: CaseIterable {
    case netlink
    case nft
    case iptables
  }

  /// What became of a connection.
  private enum Outcome: Equatable {
    case answered
    case refused
    case silent
    case other(String)
  }

  /// Joins two labs by a cable that has the second part of its addresses in its name.
  private func join(
    _ left: borrowing Lab, _ leftAddress: String, _ right: borrowing Lab, _ rightAddress: String
  ) throws {
    let cable = "c\(leftAddress.split(separator: ".")[1])"
    try left.ip("link add \(cable) type veth peer name \(cable) netns \(right.name)")
    try left.ip("addr add \(leftAddress)/24 dev \(cable)")
    try right.ip("addr add \(rightAddress)/24 dev \(cable)")
    try left.ip("link set \(cable) up")
    try right.ip("link set \(cable) up")
  }

  /// Answers "ok" to everybody.
  private func serve(_ port: Int, in lab: borrowing Lab) throws {
    let listen = "socat -U TCP-LISTEN:\(port),fork,reuseaddr SYSTEM:\"echo ok\""
    try lab.run("timeout 60 \(listen) >/dev/null 2>&1 &")
    let isUp = try eventually { try lab.run("ss -Hlnt sport = \(port)") != "" }
    if !isUp { throw LabError(text: "socat does not listen") }
  }

  private func connect(
    from lab: borrowing Lab, to address: String, _ port: Int, sourcePort: Int? = nil
  ) throws -> Outcome {
    let bound = sourcePort.map { ",sourceport=\($0),reuseaddr" } ?? ""
    let text = try lab.run(
      "timeout 1 socat -u TCP:\(address):\(port)\(bound) STDOUT || echo status $?")
    if text == "ok\n" { return .answered }
    if text.contains("refused") { return .refused }
    return text == "status 124\n" ? .silent : .other(text)
  }

  /// A TCP segment of 20 bytes with its IPv4 header; the kernel fills in what is left 0 (raw(7)).
  private func segment(
    from source: IPAddress, _ sourcePort: UInt16, to destination: IPAddress, flags: UInt8
  ) -> [UInt8] {
    let addresses = [source.ipv4, destination.ipv4].flatMap { address in
      [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: address >> UInt32($0)) }
    }
    let ports = [UInt8(sourcePort >> 8), UInt8(sourcePort & 255), 0x13, 0x88]
    return [0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0] + addresses + ports
      + [0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]
  }

  private func tap(_ lab: borrowing Lab, _ filter: SocketFilter) throws -> Descriptor {
    let tap = try lab.inside { Descriptor(owning: tapSocket()) }
    try filter.attach(to: tap.rawValue)
    return tap
  }

  @Test func theTapSeesWhatTheKernelDoesNot() throws {
    let a = try Lab("tapa")
    let b = try Lab("tapb")
    try join(a, "10.9.1.1", b, "10.9.1.2")
    #expect(try connect(from: b, to: "10.9.1.1", 8443) == .refused)
    let ruleset = try a.inside { try Ruleset(role: .server(ports: Self.ours)) }
    let tap = try tap(
      a, TunnelFilter.server(ports: Self.ours, addresses: [IPAddress("10.9.1.1")!]))
    #expect(try connect(from: b, to: "10.9.1.1", 8443) == .silent)
    #expect(packets(on: tap.rawValue) > 0)
    #expect(try connect(from: b, to: "10.9.1.1", 8444) == .refused)
    _ = consume ruleset
    #expect(try connect(from: b, to: "10.9.1.1", 8443) == .refused)
  }

  /// Another's redirect, behind ours, hands the kernel a segment for our port: it answers with a
  /// reset in our name.
  @Test(arguments: Installation.allCases)
  func theKernelsResetIsDroppedAndOursLeaves(installation: Installation) throws {
    let a = try Lab("rsta")
    let b = try Lab("rstb")
    try join(a, "10.9.1.1", b, "10.9.1.2")
    try a.run("nft add table ip nat")
    try a.run("nft \"add chain ip nat pre { type nat hook prerouting priority -100; }\"")
    try a.run("nft add rule ip nat pre tcp dport 9000 redirect to :8443")
    #expect(try connect(from: b, to: "10.9.1.1", 9000) == .refused)

    let role = Ruleset.Role.server(ports: Self.ours)
    var ruleset: Ruleset?
    switch installation {
    case .netlink: ruleset = try a.inside { try Ruleset(role: role) }
    case .nft: try shell("ip netns exec \(a.name) nft -f - <<'EOF'\n\(RulesetText.nft(role))EOF")
    case .iptables:
      try shell("ip netns exec \(a.name) sh -e <<'EOF'\n\(RulesetText.iptables(role))EOF")
    }
    let (own, peer) = (IPAddress("10.9.1.1")!, IPAddress("10.9.1.2")!)
    let tap = try tap(b, TunnelFilter.client(servers: [own], ports: Self.ours, addresses: [peer]))
    #expect(try connect(from: b, to: "10.9.1.1", 9000) == .silent)
    #expect(packets(on: tap.rawValue) == 0)

    let raw = try a.inside { Descriptor(owning: rawSocket()) }
    try send(segment(from: own, 8443, to: peer, flags: 0x04), to: peer, over: raw.rawValue)
    #expect(eventually { packets(on: tap.rawValue) == 1 })
    _ = consume ruleset
  }

  @Test func ourSegmentsAreNotTracked() throws {
    let a = try Lab("cta")
    let b = try Lab("ctb")
    try join(a, "10.9.1.1", b, "10.9.1.2")
    try a.run("nft add table ip user")
    try a.run("nft \"add chain ip user out { type filter hook output priority 0; }\"")
    try a.run("nft add rule ip user out ct state new counter")
    let ruleset = try a.inside { try Ruleset(role: .server(ports: Self.ours)) }
    let (own, peer) = (IPAddress("10.9.1.1")!, IPAddress("10.9.1.2")!)
    let raw = try a.inside { Descriptor(owning: rawSocket()) }
    // Out from our port, and from another one; in to our port.
    for port in [UInt16(8443), 8445] {
      try send(segment(from: own, port, to: peer, flags: 0x02), to: peer, over: raw.rawValue)
    }
    #expect(try connect(from: b, to: "10.9.1.1", 8443) == .silent)
    let tracked = try a.run("conntrack -L 2>/dev/null")
    #expect(tracked.contains("sport=8445"))
    #expect(!tracked.contains("8443"))
    _ = consume ruleset
  }

  /// inner 10.1.0.2 - router 10.1.0.1, 10.2.0.1 - outer 10.2.0.2, who serves our port to all.
  @Test(arguments: [false, true])
  func whatIsOnlyForwardedPasses(isMasqueraded: Bool) throws {
    let inner = try Lab("fwa")
    let router = try Lab("fwb")
    let outer = try Lab("fwc")
    try join(inner, "10.1.0.2", router, "10.1.0.1")
    try join(router, "10.2.0.1", outer, "10.2.0.2")
    try router.run("sysctl -qw net.ipv4.ip_forward=1")
    try inner.ip("route add default via 10.1.0.1")
    if isMasqueraded {
      try router.run("nft add table ip nat")
      try router.run("nft \"add chain ip nat post { type nat hook postrouting priority 100; }\"")
      try router.run("nft add rule ip nat post oifname c2 masquerade")
    } else {
      try outer.ip("route add default via 10.2.0.1")
    }
    try serve(8443, in: outer)
    #expect(try connect(from: inner, to: "10.2.0.2", 8443) == .answered)

    let server = try router.inside { try Ruleset(role: .server(ports: Self.ours)) }
    #expect(try connect(from: inner, to: "10.2.0.2", 8443) == .answered)
    #expect(try connect(from: router, to: "10.2.0.2", 8443) == .answered)
    #expect(try connect(from: outer, to: "10.2.0.1", 8443) == .silent)
    _ = consume server

    let role = Ruleset.Role.client(server: IPAddress("10.2.0.2")!, ports: Self.ours)
    var client = try router.inside { try Ruleset(role: role) }
    try client.add(localPort: 40_000)
    #expect(try connect(from: inner, to: "10.2.0.2", 8443) == .answered)
    #expect(try connect(from: router, to: "10.2.0.2", 8443, sourcePort: 40_001) == .answered)
    #expect(try connect(from: router, to: "10.2.0.2", 8443, sourcePort: 40_000) == .silent)
    // Another port: outer still waits for the end of the handshake with the first one.
    try client.add(localPort: 40_002)
    try client.remove(localPort: 40_002)
    #expect(try connect(from: router, to: "10.2.0.2", 8443, sourcePort: 40_002) == .answered)
    _ = consume client
  }
}
