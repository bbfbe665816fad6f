// The part of our table that holds a server's ports where no sockets do: as nft(8) says it, and against
// the sockets of other programs.

import CLinux
import CMnl
import Glibc
import Kernel
import Testing
import Wire

@Suite struct RulesetRangeTests {
  private static let ports = PortSet([20_000...50_000])
  private static let role = Ruleset.Role.server(
    ports: ports, holding: .rules(datagramPort: 20_000))

  // table inet rsock-4 {
  //   set ports { type inet_service; flags interval; elements = { 20000-50000 }; }
  //   chain prerouting { type filter hook prerouting priority raw; policy accept;
  //     tcp dport @ports socket transparent 0-1 accept
  //     tcp dport @ports fib daddr type local drop
  //   }
  //   chain output { type filter hook output priority raw; policy accept;
  //     tcp sport @ports socket wildcard 0 accept
  //     tcp sport @ports socket wildcard 1 meta skuid 0-4294967294 notrack accept
  //     tcp sport @ports tcp flags rst drop
  //   }
  //   chain datagrams { type nat hook prerouting priority dstnat + 1; policy accept;
  //     udp dport @ports socket transparent 0-1 accept
  //     udp dport @ports fib daddr type local dnat to :20000
  //   }
  // }
  @Test func theRulesAreWhatNftSends() {
    expectSame(messages(Self.role, table: "rsock-4"), NftRangeMessages.server)
    let alone = Ruleset.Role.server(
      ports: Self.ports, protocols: [], holding: .rules(datagramPort: 20_000))
    let isOfUDP = { (message: String) in message.contains("646174616772616d73") }
    expectSame(
      messages(alone, table: "rsock-4"), NftRangeMessages.server.filter(isOfUDP))
  }

  /// Not one for each port.
  @Test func theSetHasARangeAsTwoElements() {
    let elements = messages(Self.role, table: "rsock-4", [NFT_MSG_NEWSETELEM])
    #expect(elements.count == 1 && elements[0].count / 2 < 100, "\(elements)")
  }

  @Test func tablesListAsTheirTexts() throws {
    let lab = try Lab("rangetext")
    let more = Ruleset.Role.server(
      ports: Self.ports, hasDecoy: true, protocols: [.tcp, .icmp],
      holding: .rules(datagramPort: 65_535))
    for role in [Self.role, more] {
      let (table, text) = try lab.listings(of: role)
      #expect(table == text)
      #expect(table.contains { $0.contains("socket transparent 0-1 accept") })
    }
  }

  @Test func aKernelWithoutTheExpressionsIsNamed() {
    for code in [ENOENT, EOPNOTSUPP] {
      let remedy = Ruleset.remedy(code, Self.role) ?? ""
      #expect(remedy.contains("nft_nat") && remedy.contains("nft_socket"), "\(remedy)")
      #expect(!remedy.contains("--firewall=off"))
      #expect(Ruleset.remedy(code, .server(ports: Self.ports))?.contains("--firewall=off") == true)
    }
  }

  /// How the rules come into a namespace.
  enum Installation: CaseIterable {
    case netlink
    case nft
    case iptables
  }

  private func install(_ installation: Installation, _ lab: borrowing Lab) throws -> Ruleset? {
    switch installation {
    case .netlink: return try lab.inside { try Ruleset(role: Self.role) }
    case .nft:
      try shell("ip netns exec \(lab.name) nft -f - <<'EOF'\n\(RulesetText.nft(Self.role))EOF")
    case .iptables:
      try shell(
        "ip netns exec \(lab.name) sh -e <<'EOF'\n\(RulesetText.iptables(Self.role))EOF")
    }
    return nil
  }

  /// Host `a` with the rules, a firewall that lets in what connection tracking knows and new connections
  /// to the service at port 30000, and a cable to `b`.
  private func join(_ a: borrowing Lab, _ b: borrowing Lab) throws {
    try a.ip("link add c type veth peer name c netns \(b.name)")
    try a.ip("addr add 10.9.1.1/24 dev c")
    try b.ip("addr add 10.9.1.2/24 dev c")
    for lab in [a.name, b.name] { try shell("ip -n \(lab) link set c up") }
    try a.run("nft add table inet wall")
    try a.run("nft \"add chain inet wall in { type filter hook input priority 0; policy drop; }\"")
    try a.run("nft add rule inet wall in ct state established,related accept")
    try a.run("nft add rule inet wall in ct state new tcp dport 30000 accept")
    try a.run("nft add rule inet wall in udp dport 20000-50000 accept")
  }

  private func serve(_ listener: String, in lab: borrowing Lab) throws {
    try lab.run("timeout 60 socat \(listener),fork EXEC:cat >/dev/null 2>&1 &")
    let port = listener.split(separator: ":")[1].prefix { $0 != "," }
    let isUp = try eventually { try lab.run("ss -Hlntu sport = \(port)") != "" }
    if !isUp { throw LabError(text: "socat does not listen") }
  }

  /// What comes back through socat.
  private func echo(_ text: String, by address: String, from lab: borrowing Lab) throws -> String {
    try lab.run("echo \(text) | timeout 3 socat -t 0.3 STDIO \(address) 2>&1 || true")
  }

  /// Services of other programs in the range, and connections that the host makes from ports of it, its
  /// own firewall's tracking included; and nobody is refused in the name of the rest.
  @Test(arguments: Installation.allCases)
  func socketsOfOthersComeFirst(installation: Installation) throws {
    let a = try Lab("others")
    let b = try Lab("peer")
    try join(a, b)
    let ruleset = try install(installation, a)
    try serve("TCP-LISTEN:30000,reuseaddr", in: a)
    try serve("UDP-LISTEN:40000,reuseaddr", in: a)
    try serve("TCP-LISTEN:7000,reuseaddr", in: b)
    let tap = try b.inside { Descriptor(owning: tapSocket()) }
    let filter = try TunnelFilter.client(
      servers: [IPAddress("10.9.1.1")!], ports: PortSet([30_001...30_001]),
      addresses: [IPAddress("10.9.1.2")!])
    try filter.attach(to: tap.rawValue)
    for number in 0..<5 {
      #expect(try echo("in\(number)", by: "TCP:10.9.1.1:30000", from: b) == "in\(number)\n")
      #expect(try echo("dg\(number)", by: "UDP:10.9.1.1:40000", from: b) == "dg\(number)\n")
      let own = "TCP:10.9.1.2:7000,sourceport=\(25_000 + number),reuseaddr"
      #expect(try echo("out\(number)", by: own, from: a) == "out\(number)\n")
    }
    #expect(try echo("x", by: "TCP:10.9.1.1:30001,connect-timeout=1", from: b) != "x\n")
    #expect(packets(on: tap.rawValue) == 0, "the kernel answers for a port without a socket")
    #expect(try a.run("conntrack -L 2>/dev/null").contains("sport=25000"), "it is tracked")
    _ = consume ruleset
  }

  /// One kernel socket has the datagrams to all ports, and the sender gets its answers from the port that
  /// it spoke to: two senders as well whom a NAT gave the same port, one to each of the host's.
  @Test(arguments: Installation.allCases)
  func oneSocketHasAllPorts(installation: Installation) throws {
    let a = try Lab("one")
    let b = try Lab("many")
    try join(a, b)
    let ruleset = try install(installation, a)
    try serve("UDP-LISTEN:20000,reuseaddr", in: a)
    for port in [20_000, 20_001, 33_333, 50_000] {
      let sender = "UDP:10.9.1.1:\(port),bind=10.9.1.2:4500,reuseaddr"
      #expect(try echo("to\(port)", by: sender, from: b) == "to\(port)\n")
    }
    let outside = try echo("x", by: "UDP:10.9.1.1:19999", from: b)
    #expect(outside != "x\n")
    _ = consume ruleset
  }

  @Test func programsThatListenAreFound() throws {
    let lab = try Lab("listen")
    #expect(try lab.inside { try ListeningPorts.all() } == [])
    try serve("TCP-LISTEN:30000,reuseaddr", in: lab)
    try serve("TCP6-LISTEN:30001,reuseaddr", in: lab)
    try serve("UDP-LISTEN:30002,reuseaddr", in: lab)
    #expect(try echo("x", by: "TCP:127.0.0.1:30000,sourceport=30003", from: lab) == "x\n")
    #expect(try lab.inside { try ListeningPorts.all() } == [30_000, 30_001])
  }
}
