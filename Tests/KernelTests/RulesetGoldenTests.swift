// The ruleset's messages, byte for byte against what nft(8) sends for the same rules.

import CMnl
import Kernel
import Testing
import Wire

@Suite struct RulesetGoldenTests {
  // table inet rsock-1 {
  //   set ports { type inet_service; flags interval; elements = { 80, 443, 1000-1010,
  //     60000-65535 }; }
  //   chain prerouting { type filter hook prerouting priority raw; policy accept;
  //     tcp dport @ports fib daddr type local drop
  //   }
  //   chain output { type filter hook output priority raw; policy accept;
  //     tcp sport @ports meta skuid 0-4294967294 notrack accept
  //     tcp sport @ports tcp flags rst drop
  //   }
  // }
  @Test func aServersRulesAreWhatNftSends() {
    let ports = PortSet([80...80, 443...443, 1000...1010, 60_000...65_535])
    expectSame(messages(.server(ports: ports), table: "rsock-1"), NftMessages.server)
  }

  // table inet rsock-2 {
  //   set ports { type inet_service; flags interval; elements = { 80 }; }
  //   set own { type inet_service; elements = { 40000, 40001 }; }
  //   chain prerouting { type filter hook prerouting priority raw; policy accept;
  //     ip saddr 192.0.2.1 tcp sport @ports tcp dport @own fib daddr type local drop
  //   }
  //   chain output { type filter hook output priority raw; policy accept;
  //     ip daddr 192.0.2.1 tcp dport @ports tcp sport @own meta skuid 0-4294967294 notrack accept
  //     ip daddr 192.0.2.1 tcp dport @ports tcp sport @own tcp flags rst drop
  //   }
  // }
  @Test func aClientsRulesAreWhatNftSends() {
    let role = Ruleset.Role.client(server: IPAddress("192.0.2.1")!, ports: PortSet([80...80]))
    expectSame(messages(role, table: "rsock-2"), NftMessages.client)
  }

  // The same with "meta nfproto ipv6 ip6 saddr 2001:db8::1" and "ip6 daddr".
  @Test func aClientsRulesForIPv6AreWhatNftSends() {
    let role = Ruleset.Role.client(server: IPAddress("2001:db8::1")!, ports: PortSet([80...80]))
    expectSame(messages(role, table: "rsock-2"), NftMessages.client6)
  }

  // table inet rsock-3 {
  //   set ports { type inet_service; flags interval; elements = { 443 }; }
  //   set spliced { type ipv4_addr . inet_service . ipv4_addr . inet_service; }
  //   set spliced6 { type ipv6_addr . inet_service . ipv6_addr . inet_service; }
  //   chain prerouting { type filter hook prerouting priority raw; policy accept;
  //     meta nfproto ipv4 tcp dport @ports ip saddr . tcp sport . ip daddr . tcp dport @spliced
  //       notrack accept
  //     (the same with ipv6, ip6 and spliced6)
  //     tcp dport @ports fib daddr type local drop
  //   }
  //   chain output { type filter hook output priority raw; policy accept;
  //     tcp sport @ports meta skuid 0-4294967294 notrack accept
  //     meta nfproto ipv4 tcp sport @ports ip daddr . tcp dport . ip saddr . tcp sport @spliced
  //       notrack accept
  //     (the same with ipv6, ip6 and spliced6)
  //     tcp sport @ports tcp flags rst drop
  //   }
  // }
  @Test func aDecoysRulesAreWhatNftSends() throws {
    let role = Ruleset.Role.server(ports: PortSet([443...443]), hasDecoy: true)
    expectSame(messages(role, table: "rsock-3"), NftMessages.decoy)
    let sets = messages(role, table: "rsock-3", [NFT_MSG_NEWSET])
    #expect(sets.count == 3)
    #expect(NftMessages.splicedSet.hasPrefix(try #require(sets.dropFirst().first)), "\(sets)")
    #expect(NftMessages.splicedSet6.hasPrefix(try #require(sets.last)), "\(sets)")
  }

  @Test func aDecoysElementsAreWhatNftSends() {
    let tuples = [
      FourTuple(local: Endpoint("198.51.100.7:443")!, remote: Endpoint("192.0.2.9:50001")!),
      FourTuple(local: Endpoint("[2001:db8::7]:443")!, remote: Endpoint("[2001:db8::9]:50001")!),
    ]
    let golden = [NftMessages.splicedElement, NftMessages.splicedElement6]
    var adding = NetlinkRequest(sequence: 1)
    adding.add(spliced: tuples, in: "rsock-3")
    #expect(messages(in: adding, [NFT_MSG_NEWSETELEM]) == golden)
    var removing = NetlinkRequest(sequence: 1)
    removing.remove(spliced: tuples, in: "rsock-3")
    #expect(messages(in: removing, [NFT_MSG_DELSETELEM]) == golden)
  }
}

/// The payloads in messages of a filled table, by default NEWCHAIN and NEWRULE, in hexadecimal.
func messages(
  _ role: Ruleset.Role, table: String,
  _ types: [nf_tables_msg_types] = [NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE]
) -> [String] {
  var request = NetlinkRequest(sequence: 1, capacity: 16_384)
  request.fill(table: table, for: role)
  return messages(in: request, types)
}

private func messages(
  in request: borrowing NetlinkRequest, _ types: [nf_tables_msg_types]
) -> [String] {
  var found: [String] = []
  var rest = request.bytes
  let wanted = types.map {
    UInt32(NFNL_SUBSYS_NFTABLES) << 8 | $0.rawValue
  }
  while let message = NetlinkMessage(rest) {
    rest = message.rest
    guard wanted.contains(UInt32(message.header.nlmsg_type)) else { continue }
    var hex = ""
    for offset in 0..<message.payload.byteCount {
      let digits = String(message.payload.byte(at: offset), radix: 16)
      hex += digits.count == 1 ? "0" + digits : digits
    }
    found.append(hex)
  }
  return found
}

func expectSame(_ ours: [String], _ golden: [String]) {
  // nft sends chains before rules, we send a chain and then its rules.
  #expect(ours.count == golden.count)
  for message in golden { #expect(ours.contains(message), "\(message)") }
}
