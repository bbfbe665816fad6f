// The part of our table that is about ICMP: as nft(8) says it, and against real pings.

import CLinux
import CMnl
import Glibc
import Kernel
import Testing
import Wire

@Suite struct RulesetEchoTests {
  private static let ports = PortSet([80...80, 443...443])
  private static let server = Ruleset.Role.server(ports: ports, protocols: [.icmp])
  private static let clients = ["192.0.2.1", "2001:db8::1"].map {
    Ruleset.Role.client(server: IPAddress($0)!, ports: ports, protocols: [.icmp])
  }

  // table inet rsock-1 {
  //   chain prerouting { type filter hook prerouting priority raw; policy accept;
  //     icmp type echo-request @th,64,32 0x52534351 fib daddr type local drop
  //     icmpv6 type echo-request @th,64,32 0x52534351 fib daddr type local drop
  //   }
  //   chain output { type filter hook output priority raw; policy accept;
  //     icmp type echo-reply @th,64,32 0x52534341 meta skuid 0-4294967294 notrack accept
  //     icmp type echo-reply @th,64,32 0x52534351 drop
  //     (the same with icmpv6)
  //   }
  // }
  @Test func aServersRulesAreWhatNftSends() {
    expectSame(messages(Self.server, table: "rsock-1"), NftEchoMessages.server)
    #expect(messages(Self.server, table: "rsock-1", [NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM]) == [])
  }

  // table inet rsock-2 {
  //   chain prerouting { type filter hook prerouting priority raw; policy accept;
  //     ip saddr 192.0.2.1 icmp type echo-reply @th,64,32 0x52534341 fib daddr type local drop
  //   }
  //   chain output { type filter hook output priority raw; policy accept;
  //     ip daddr 192.0.2.1 icmp type echo-request @th,64,32 0x52534351
  //       meta skuid 0-4294967294 notrack accept
  //   }
  // }
  @Test func aClientsRulesAreWhatNftSends() {
    expectSame(messages(Self.clients[0], table: "rsock-2"), NftEchoMessages.client)
    expectSame(messages(Self.clients[1], table: "rsock-2"), NftEchoMessages.client6)
  }

  /// Beside TCP's rules, which are as they are without them.
  @Test func bothProtocolsStandTogether() {
    let both = messages(
      .server(ports: Self.ports, protocols: [.tcp, .icmp]), table: "rsock-1", [NFT_MSG_NEWRULE])
    let apart =
      messages(.server(ports: Self.ports), table: "rsock-1", [NFT_MSG_NEWRULE])
      + messages(Self.server, table: "rsock-1", [NFT_MSG_NEWRULE])
    #expect(Set(both) == Set(apart) && both.count == apart.count)
  }

  @Test func tablesListAsTheirTexts() throws {
    let lab = try Lab("icmptext")
    let both = Ruleset.Role.server(ports: Self.ports, protocols: [.tcp, .icmp])
    for role in Self.clients + [Self.server, both] {
      let (table, text) = try lab.listings(of: role)
      #expect(table == text)
      #expect(table.contains { $0.contains("type echo-reply @th,64,32 0x52534341") })
    }
  }

  /// How the rules come into a namespace.
  enum Installation: CaseIterable {
    case netlink
    case nft
    case iptables
  }

  /// Two labs at the ends of a cable.
  private func join(_ left: borrowing Lab, _ right: borrowing Lab) throws {
    try left.ip("link add c9 type veth peer name c9 netns \(right.name)")
    for address in ["10.9.1.1/24", "fd09::1/64 nodad"] { try left.ip("addr add dev c9 \(address)") }
    for address in ["10.9.1.2/24", "fd09::2/64 nodad"] {
      try right.ip("addr add dev c9 \(address)")
    }
    try left.ip("link set c9 up")
    try right.ip("link set c9 up")
  }

  /// How many of three pings with these bytes, too few for ping(8) to put the time there, are answered.
  private func answers(
    from lab: borrowing Lab, to address: String, _ pattern: String
  ) throws -> Int {
    let text = try lab.run(
      "ping -q -n -c 3 -i 0.05 -W 0.5 -s 12 -p \(pattern) \(address) || true")
    let words = text.split { $0 == " " || $0 == "\n" }
    guard let index = words.firstIndex(of: "received,"), let count = Int(words[index - 1]) else {
      throw LabError(text: text)
    }
    return count
  }

  /// The badge of a request is our client's, every other ping anybody's; what the tap has seen is gone
  /// only for the kernel. Requests that another rule leads to the kernel behind ours are not answered.
  @Test(arguments: Installation.allCases)
  func theKernelAnswersAllOtherPings(installation: Installation) throws {
    let a = try Lab("icmpa")
    let b = try Lab("icmpb")
    try join(a, b)
    let addresses = ["10.9.1.1", "fd09::1"]
    let badge = "52534351a1b2c3d401000005"
    for address in addresses { #expect(try answers(from: b, to: address, badge) == 3) }
    // Another's translation, behind ours, hands the kernel what was not for this host.
    try a.run("nft add table ip nat")
    try a.run("nft \"add chain ip nat pre { type nat hook prerouting priority -100; }\"")
    try a.run("nft add rule ip nat pre ip daddr 10.9.3.1 dnat to 10.9.1.1")
    try b.ip("route add 10.9.3.1 via 10.9.1.1")
    #expect(try answers(from: b, to: "10.9.3.1", badge) == 3)

    var ruleset: Ruleset?
    switch installation {
    case .netlink: ruleset = try a.inside { try Ruleset(role: Self.server) }
    case .nft:
      try shell("ip netns exec \(a.name) nft -f - <<'EOF'\n\(RulesetText.nft(Self.server))EOF")
    case .iptables:
      try shell("ip netns exec \(a.name) sh -e <<'EOF'\n\(RulesetText.iptables(Self.server))EOF")
    }
    let tap = try a.inside { Descriptor(owning: tapSocket()) }
    let filter = try TunnelFilter.server(
      ports: Self.ports, addresses: addresses.map { IPAddress($0)! }, protocols: [.icmp])
    try filter.attach(to: tap.rawValue)
    for address in addresses {
      #expect(try answers(from: b, to: address, badge) == 0)
      #expect(try answers(from: b, to: address, "52534341a1b2c3d401000005") == 3)
      #expect(try answers(from: b, to: address, "00000000000000000000000f") == 3)
    }
    #expect(try answers(from: b, to: "10.9.3.1", badge) == 0)
    #expect(try answers(from: b, to: "10.9.3.1", "00000000000000000000000f") == 3)
    // Of IPv4, which is what this tap hears, and for this host.
    #expect(packets(on: tap.rawValue) == 3)
    // Out of this end everything goes, and what comes back is the kernel's.
    #expect(try answers(from: a, to: "10.9.1.2", badge) == 3)
    _ = consume ruleset
  }

  /// A client's rules drop what its server's rsock sends, and nothing else of its pings.
  @Test func aClientsPingsAreAnswered() throws {
    let a = try Lab("icmpc")
    let b = try Lab("icmpd")
    try join(a, b)
    let role = Ruleset.Role.client(
      server: IPAddress("10.9.1.1")!, ports: Self.ports, protocols: [.icmp])
    let ruleset = try b.inside { try Ruleset(role: role) }
    for pattern in ["52534351a1b2c3d401000005", "000102030405060708090a0b"] {
      #expect(try answers(from: b, to: "10.9.1.1", pattern) == 3)
    }
    // As a reply, these bytes are a server's.
    #expect(try answers(from: b, to: "10.9.1.1", "52534341a1b2c3d401000005") == 0)
    #expect(try answers(from: b, to: "fd09::1", "52534341a1b2c3d401000005") == 3)
    _ = consume ruleset
  }
}
