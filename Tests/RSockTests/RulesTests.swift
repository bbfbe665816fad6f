// The rules for setting by hand: nft and iptables themselves take them, in a namespace.

import Samples
import Testing

@Suite("Rules") struct RulesTests {
  static let lines = [
    ["server", "-p", "80,443,10001-10010"],
    ["client", "--taddr=192.0.2.1", "-p", "443"],
    ["server", "-p", "80,443", "--type=all"],
    ["client", "--taddr=2001:db8::1", "-p", "443"],
    ["server", "-p", "443", "--type=tcp,udp,icmp"],
    ["client", "--taddr=192.0.2.1", "-p", "443", "--type=tcp,icmp"],
    ["server", "-p", "443,20000-50000", "--type=tcp,udp,icmp"],
  ]

  @Test("nft takes them, twice too", arguments: lines) func nft(_ line: [String]) {
    let outcome = loaded(line, "nft -f rules && nft -f rules && nft list ruleset")
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("table inet rsock {"))
    #expect(outcome.output.contains("443"))
  }

  @Test("iptables takes those in the comments", arguments: lines)
  func iptables(_ line: [String]) {
    let outcome = loaded(
      line,
      "sed -n 's/^# \\(ip6*tables\\)/\\1/p' rules | sh -e && iptables -t raw -S && echo 6 && ip6tables -t raw -S"
    )
    #expect(outcome.status == 0, "\(outcome.errors)")
    let families = outcome.output.split(separator: "\n6\n").map {
      $0.contains("--dports 443") || $0.contains("--dports 80,443")
    }
    let isOfIPv6 = line.contains("--taddr=2001:db8::1")
    #expect(families == (line[0] == "server" ? [true, true] : [!isOfIPv6, isOfIPv6]))
  }

  @Test("--firewall=print prints the same", arguments: lines) func print(_ line: [String]) {
    let rules = Scratch().rsock(["rules"] + line)
    let printed = Scratch().rsock(line + ["--firewall=print"])
    #expect(rules.status == 0 && rules.output.contains("table inet rsock {"))
    #expect(printed.status == 0 && printed.output == rules.output)
  }

  @Test("UDP alone takes no rules, and is told what has to be accepted") func udp() {
    let server = Scratch().rsock("rules", "server", "-p", "443,10001-10010", "--type=udp")
    #expect(server.status == 0 && !server.output.contains("table inet"))
    #expect(server.output.contains("udp dport '{ 443, 10001-10010 }' accept"))
    let client = Scratch().rsock("rules", "client", "--taddr=192.0.2.1", "--type=udp")
    #expect(client.status == 0 && client.output == "# UDP needs no rule on a client.\n")
  }

  @Test("UDP alone takes rules where one socket takes all ports") func udpRange() {
    let outcome = loaded(
      ["server", "-p", "20000-50000", "--type=udp"],
      """
      nft -f rules && nft -f rules && nft list ruleset &&
      sed -n 's/^# \\(ip6*tables\\)/\\1/p' rules | sh -e && iptables -t nat -S && ip6tables -t nat -S
      """)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("udp dport @ports fib daddr type local dnat to :20000"))
    #expect(!outcome.output.contains("tcp"), "\(outcome.output)")
    let translations = outcome.output.split(separator: "\n").filter {
      $0.hasSuffix("-j DNAT --to-destination :20000")
    }
    #expect(translations.count == 2, "\(outcome.output)")
    let few = Scratch().rsock("rules", "server", "-p", "20000-21023", "--type=udp")
    #expect(few.status == 0 && !few.output.contains("table inet"))
  }

  @Test("ICMP alone takes rules without ports", arguments: ["192.0.2.1", "2001:db8::1"])
  func icmp(_ address: String) {
    for line in [["server"], ["client", "--taddr=\(address)"]] {
      let outcome = loaded(
        line + ["--type=icmp"],
        """
        nft -f rules && nft list ruleset &&
        sed -n 's/^# \\(ip6*tables\\)/\\1/p' rules | sh -e && iptables -t raw -S && ip6tables -t raw -S
        """)
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.output.contains(" type echo-reply @th,64,32 0x52534341"), "\(outcome.output)")
      #expect(outcome.output.contains("=0x52534341"), "\(outcome.output)")
      #expect(!outcome.output.contains("port"), "\(outcome.output)")
    }
  }

  @Test("A pasted line of the client does, and a server's address is needed") func pasted() {
    let pasted = Scratch().rsock("rules", "client", "-t", "192.0.2.1", "-l", "127.0.0.1:1", "-v")
    #expect(pasted.status == 0 && pasted.output.contains("ip saddr 192.0.2.1"))
    let missing = Scratch().rsock("rules", "client")
    #expect(
      missing.errors
        == "rsock: --taddr is missing: name the server, for example --taddr=192.0.2.1.\n")
    #expect(missing.status == 64)
  }

  /// Prints the rules for `line` to the file `rules` and runs a command, in a new namespace.
  private func loaded(_ line: [String], _ command: String) -> Outcome {
    let scratch = Scratch()
    let script = "cd \"$RUNTIME_DIRECTORY\" && \"$0\" rules \"$@\" >rules && \(command)"
    return Running(
      ["unshare", "--net", "sh", "-c", script, program] + line,
      environment: scratch.environment(), in: scratch, "rules"
    ).end()
  }
}
