// The ruleset's messages, byte for byte against what nft(8) sends for the same rules.

import CMnl
import Kernel
import Testing
import Wire

@Suite struct RulesetGoldenTests {
  /// The payloads in NEWCHAIN and NEWRULE messages of a filled table, in hexadecimal.
  private func messages(_ role: Ruleset.Role, table: String) -> [String] {
    var request = NetlinkRequest(sequence: 1, capacity: 16_384)
    request.fill(table: table, for: role)
    var found: [String] = []
    var rest = request.bytes
    let wanted = [NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE].map {
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

  private func expectSame(_ ours: [String], _ golden: [String]) {
    // nft sends chains before rules, we send a chain and then its rules.
    #expect(ours.count == golden.count)
    for message in golden { #expect(ours.contains(message), "\(message)") }
  }

  // table inet rsock-1 {
  //   set ports { type inet_service; flags interval; elements = { 80, 443, 1000-1010,
  //     60000-65535 }; }
  //   chain prerouting { type filter hook prerouting priority raw; policy accept;
  //     meta nfproto ipv4 tcp dport @ports fib daddr type local drop
  //   }
  //   chain output { type filter hook output priority raw; policy accept;
  //     meta nfproto ipv4 tcp sport @ports meta skuid 0-4294967294 notrack accept
  //     meta nfproto ipv4 tcp sport @ports tcp flags rst drop
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
    let role = Ruleset.Role.client(server: IPv4Address("192.0.2.1")!, ports: PortSet([80...80]))
    expectSame(messages(role, table: "rsock-2"), NftMessages.client)
  }
}
