// Our table in the kernel: what it lists as, how long it lives, and that nobody else changes it.

import CLinux
import Glibc
import Kernel
import Testing
import Wire

@Suite struct RulesetTests {
  private static let ports = PortSet([80...80, 443...443, 1000...1010, 60_000...65_535])
  private static let server = Ruleset.Role.server(ports: ports)
  private static let client = Ruleset.Role.client(
    server: IPAddress("192.0.2.1")!, ports: PortSet([80...80]))

  /// The lines of a table's listing that say what it does.
  private func listing(_ table: String, _ lab: borrowing Lab) throws -> [String] {
    try lab.run("nft list table inet \(table)").split(separator: "\n").dropFirst()
      .map { String($0.filter { $0 != "\t" }) }
      .filter { !$0.hasPrefix("flags") && !$0.isEmpty }
  }

  private func isListed(_ table: String, _ lab: borrowing Lab) throws -> Bool {
    try lab.run("nft list tables").split(separator: "\n").contains("table inet \(table)")
  }

  @Test func aServersTableListsAsItsText() throws {
    let lab = try Lab("text")
    let ruleset = try lab.inside { try Ruleset(role: Self.server) }
    let text = RulesetText.nft(Self.server, table: "text", own: PortSet([1...1]))
    try shell("ip netns exec \(lab.name) nft -f - <<'EOF'\n\(text)EOF")
    let ours = try listing(ruleset.table, lab)
    #expect(ours == (try listing("text", lab)))
    #expect(ours.contains("tcp dport @ports fib daddr type local drop"))
    #expect(ours.contains("elements = { 80, 443, 1000-1010, 60000-65535 }"))
  }

  @Test(arguments: ["192.0.2.1", "2001:db8::1"])
  func aClientsTableListsAsItsText(server: String) throws {
    let lab = try Lab("texts")
    let role = Ruleset.Role.client(server: IPAddress(server)!, ports: PortSet([80...80]))
    var ruleset = try lab.inside { try Ruleset(role: role) }
    for port in [UInt16(40_000), 40_001, 40_001, 7] { try ruleset.add(localPort: port) }
    try ruleset.remove(localPort: 7)
    try ruleset.remove(localPort: 9)
    let own = PortSet([40_000...40_000, 40_001...40_001])
    let text = RulesetText.nft(role, table: "text", own: own)
    try shell("ip netns exec \(lab.name) nft -f - <<'EOF'\n\(text)EOF")
    let ours = try listing(ruleset.table, lab)
    // A set of ranges lists two neighbours as one range.
    #expect(ours.contains("elements = { 40000, 40001 }"))
    let others = try listing("text", lab).map { $0.replacing("40000-40001", with: "40000, 40001") }
    #expect(ours == others)
  }

  @Test func aDecoysTableListsAsItsText() throws {
    let lab = try Lab("decoy")
    let role = Ruleset.Role.server(ports: Self.ports, hasDecoy: true)
    var ruleset = try lab.inside { try Ruleset(role: role) }
    let empty = try listing(ruleset.table, lab)
    let text = RulesetText.nft(role, table: "text", own: PortSet([1...1]))
    try shell("ip netns exec \(lab.name) nft -f - <<'EOF'\n\(text)EOF")
    #expect(empty == (try listing("text", lab)))
    #expect(empty.contains("type ipv4_addr . inet_service . ipv4_addr . inet_service"))
    for tuple in Self.tuples + Self.tuples { try ruleset.add(spliced: tuple) }
    let elements = { try listing(ruleset.table, lab).filter { $0.contains(" . 198.51.100.7 . ") } }
    #expect(try elements().count == 3)
    #expect(
      try listing(ruleset.table, lab).contains {
        $0.contains("2001:db8::9 . 50000 . 2001:db8::7 . 443")
      })
    #expect(try elements().contains { $0.contains("192.0.2.3 . 50000 . 198.51.100.7 . 443") })
    try ruleset.remove(spliced: Array(Self.tuples.dropFirst()) + Self.tuples)
    try ruleset.remove(spliced: Self.tuples)
    #expect(try listing(ruleset.table, lab) == empty)
  }

  private static let tuples =
    (1...3).map { number in
      FourTuple(
        local: Endpoint("198.51.100.7:443")!, remote: Endpoint("192.0.2.\(number):50000")!)
    } + [
      FourTuple(
        local: Endpoint("[2001:db8::7]:443")!, remote: Endpoint("[2001:db8::9]:50000")!)
    ]

  @Test func withoutOwnersAFlushedDecoysTableIsMadeAgain() throws {
    let lab = try Lab("decoys")
    var ruleset = try lab.inside {
      try Ruleset(role: .server(ports: Self.ports, hasDecoy: true), prefersOwner: false)
    }
    for tuple in Self.tuples { try ruleset.add(spliced: tuple) }
    let before = try listing(ruleset.table, lab).sorted()
    try lab.run("nft flush ruleset")
    #expect(try ruleset.repair())
    #expect(try listing(ruleset.table, lab).count == before.count)
    try ruleset.remove(spliced: Self.tuples)
    #expect(try !listing(ruleset.table, lab).contains { $0.contains("192.0.2.") })
  }

  @Test func manyRangesFit() throws {
    let lab = try Lab("many")
    let ports = PortSet((0..<UInt16(1024)).map { (20_000 + 3 * $0)...(20_001 + 3 * $0) })
    let ruleset = try lab.inside { try Ruleset(role: .server(ports: ports)) }
    let listed = try lab.run("nft list set inet \(ruleset.table) ports")
    #expect(listed.split(separator: ",").count == 1024)
    #expect(listed.contains("23069-23070"))
  }

  @Test func nobodyElseChangesIt() throws {
    let lab = try Lab("owner")
    let ruleset = try lab.inside { try Ruleset(role: Self.server) }
    #expect(ruleset.descriptor == nil)
    let before = try listing(ruleset.table, lab)
    _ = try? lab.run("nft flush ruleset")
    #expect(throws: LabError.self) { try lab.run("nft delete table inet \(ruleset.table)") }
    #expect(throws: LabError.self) { try lab.run("nft flush table inet \(ruleset.table)") }
    #expect(try listing(ruleset.table, lab) == before)
  }

  @Test func itIsGoneWithItsValue() throws {
    for prefersOwner in [true, false] {
      let lab = try Lab("gone")
      try inner(prefersOwner, lab)
      #expect(try eventually { try lab.run("nft list tables").isEmpty })
    }
    func inner(_ prefersOwner: Bool, _ lab: borrowing Lab) throws {
      let ruleset = try lab.inside { try Ruleset(role: Self.server, prefersOwner: prefersOwner) }
      #expect(try isListed(ruleset.table, lab))
    }
  }

  @Test func itIsGoneAfterSIGKILLAndTwoProcessesCoexist() async throws {
    let lab = try Lab("kill")
    let name = lab.name
    let ruleset = try lab.inside { try Ruleset(role: Self.server) }
    await #expect(processExitsWith: .signal(SIGKILL)) { [name = name as String] in
      let file = Descriptor(owning: unsafe open("/run/netns/\(name)", O_RDONLY | O_CLOEXEC))
      guard setns(file.rawValue, CLONE_NEWNET) == 0 else { exit(1) }
      let own = try Ruleset(role: .server(ports: PortSet([443...443])))
      let tables = try shell("nft list tables").split(separator: "\n")
      guard tables.count == 2, tables.contains("table inet \(own.table)") else { exit(2) }
      kill(getpid(), SIGKILL)
    }
    #expect(try eventually { try lab.run("nft list tables") == "table inet \(ruleset.table)\n" })
  }

  @Test func oneProcessMayHaveTwo() throws {
    let lab = try Lab("two")
    let first = try lab.inside { try Ruleset(role: Self.server) }
    let second = try lab.inside { try Ruleset(role: Self.client) }
    #expect(first.table == "rsock-\(getpid())")
    #expect(second.table == "rsock-\(getpid())-2")
    #expect(try isListed(first.table, lab) && isListed(second.table, lab))
  }

  @Test func withoutOwnersAFlushedTableIsMadeAgain() throws {
    let lab = try Lab("plain")
    var ruleset = try lab.inside { try Ruleset(role: Self.client, prefersOwner: false) }
    for port in [UInt16(40_000), 40_001] { try ruleset.add(localPort: port) }
    #expect(try !ruleset.repair())
    let heard = ruleset.descriptor
    let descriptor = try #require(heard)
    #expect(!isReadable(descriptor))
    let before = try listing(ruleset.table, lab)
    #expect(before.contains("elements = { 40000, 40001 }"))
    try lab.run("nft flush ruleset")
    #expect(isReadable(descriptor))
    #expect(try ruleset.repair())
    #expect(try listing(ruleset.table, lab) == before)
    #expect(try !ruleset.repair())
    #expect(!isReadable(descriptor))
  }

  @Test func withoutOwnersLeftoversOfTheDeadAreRemoved() throws {
    let lab = try Lab("dead")
    // No process has a number above 4194304 (PID_MAX_LIMIT); 1 lives.
    for table in ["rsock-4194305", "rsock-4194306-2", "rsock-1", "rsock-x", "rsock"] {
      try lab.run("nft add table inet \(table)")
    }
    let ruleset = try lab.inside { try Ruleset(role: Self.server, prefersOwner: false) }
    let tables = try lab.run("nft list tables").split(separator: "\n").sorted()
    let expected = ["rsock", "rsock-1", ruleset.table, "rsock-x"].map { "table inet \($0)" }
    #expect(tables.map(String.init) == expected.sorted())
  }

  @Test func withoutTheCapabilityTheErrorSaysSo() async {
    await #expect(processExitsWith: .exitCode(7)) {
      guard setuid(65_534) == 0 else { exit(1) }
      do throws(SystemError) { _ = try Ruleset(role: .server(ports: PortSet([443...443]))) } catch {
        let says = error.remedy ?? ""
        exit(error.code == EPERM && says.contains("cap_net_admin") ? 7 : 2)
      }
    }
  }

  @Test func textsAreAcceptedAsTheyStand() throws {
    let lab = try Lab("accept")
    let decoy = Ruleset.Role.server(ports: Self.ports, hasDecoy: true)
    for role in [Self.server, Self.client, decoy] {
      let text = RulesetText.nft(role)
      for _ in 0..<2 {
        try shell("ip netns exec \(lab.name) nft -f - <<'EOF'\n\(text)EOF")
      }
      try lab.run("iptables -t raw -F")
      let commands = RulesetText.iptables(role)
      try shell("ip netns exec \(lab.name) sh -e <<'EOF'\n\(commands)EOF")
      let rules = try lab.run("iptables -t raw -S").split(separator: "\n")
      let appended = commands.split(separator: "\n").filter { $0.hasPrefix("iptables") }
      #expect(rules.filter { $0.hasPrefix("-A") }.count == appended.count)
    }
  }

  @Test func longPortListsAreCutForMultiport() throws {
    let lab = try Lab("multi")
    let starts = (0..<UInt16(40)).map { 100 * $0 + 1 }
    let ports = PortSet(starts.map { $0...($0 + ($0 / 100) % 2) })
    let commands = RulesetText.iptables(.server(ports: ports), own: PortSet([1...1]))
    try shell("ip netns exec \(lab.name) sh -e <<'EOF'\n\(commands)EOF")
    // 20 ports and 20 ranges are 60 numbers, 15 a rule where the cut falls well.
    let prerouting = commands.split(separator: "\n").filter {
      $0.hasPrefix("iptables ") && $0.contains("PREROUTING")
    }
    #expect((4...5).contains(prerouting.count))
  }

  private func isReadable(_ descriptor: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&entry, 1, 0) == 1
  }
}
