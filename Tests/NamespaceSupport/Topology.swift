// The little networks of the tests. Each has namespaces of its own, so every test may use the same
// addresses and ports, in parallel.
//
//   two hosts:     client 10.77.1.1 ───────────────────────────── 10.77.1.2 server
//   routed hosts:  client 10.77.1.1 ── 10.77.1.2 router 10.77.2.1 ── 10.77.2.2 server
//   emulated link: client 10.77.1.1 ──── link ──── 10.77.1.2 server, one wire to both of them
//   intruder:      client 10.77.1.1 ── 10.77.1.2 server 10.77.3.2 ── 10.77.3.1 intruder, with
//                  10.128.0.0/9 behind it, where nobody answers
//
// Beside 10.77.NUMBER.SIDE each interface has fd77:NUMBER::SIDE.

public import Wire

/// A host with one network interface, `eth0`.
public struct Host: Sendable {
  /// The name of a host's interface.
  public static let interface = "eth0"
  /// Where it lives.
  public let namespace: Namespace
  /// Its IPv4 address on `eth0`.
  public let address: IPAddress
  /// Its IPv6 address there.
  public let address6: IPAddress
  /// The link address of `eth0`.
  public let linkAddress: [UInt8]
  /// The link address of the other end of its wire.
  public let neighbourLinkAddress: [UInt8]

  /// Its address of a family.
  public func address(_ family: AddressFamily) -> IPAddress {
    family == .ipv4 ? address : address6
  }

  /// Runs a command on the host, as root, to its end; returns its standard output.
  @discardableResult
  public func run(_ command: String...) throws -> String {
    try NamespaceSupport.run(namespace.commandLine(command))
  }

  /// Starts a program on the host, as root.
  public func start(_ command: String...) throws -> ChildProcess { try start(command) }

  /// Starts a program on the host, as root.
  public func start(_ command: [String]) throws -> ChildProcess {
    try ChildProcess(namespace.commandLine(command))
  }

  /// Makes `eth0` carry packets of at most `mtu` bytes.
  public func setMTU(_ mtu: Int) throws {
    try run("ip", "link", "set", Self.interface, "mtu", "\(mtu)")
  }

  /// The same host by another address of its interface.
  public func at(_ address: IPAddress) -> Host {
    Host(
      namespace: namespace, address: address.isIPv4 ? address : self.address,
      address6: address.isIPv4 ? address6 : address, linkAddress: linkAddress,
      neighbourLinkAddress: neighbourLinkAddress)
  }

  /// Cuts the wire, or mends it.
  public func setLink(up isUp: Bool) throws {
    try run("ip", "link", "set", Self.interface, isUp ? "up" : "down")
  }
}

/// A router between two hosts that masquerades the client and trusts nobody: connection tracking
/// is not liberal, and what it calls invalid is counted in prerouting and dropped.
public struct Router: Sendable {
  /// Its interfaces.
  public static let inside = "inside"
  /// Towards the server; its address is what the server sees of the client.
  public static let outside = "outside"
  /// The router as a host of programs, with its address towards the client.
  public let host: Host
  /// Where it lives.
  public var namespace: Namespace { host.namespace }

  /// Drops every packet that it would forward of more than `size` bytes, without a word.
  public func drop(packetsOver size: Int) throws {
    try namespace.run(
      "nft",
      "table inet narrow { chain forward { type filter hook forward priority 0; "
        + "meta length > \(size) drop; }; }")
  }

  /// Ends the TCP connections that go through it to these ports of the server, and opens others to there:
  /// a transparent proxy of kernel TCPs and socat(1), as long as its processes are held.
  public func endConnections(
    to server: Host, ports: ClosedRange<UInt16>, _ family: AddressFamily = .ipv4
  ) throws -> [ChildProcess] {
    let (suffix, name) =
      family == .ipv4 ? ("4", "\(server.address)") : ("6", "[\(server.address6)]")
    let programs = try ports.map { port in
      try namespace.start(
        "socat", "TCP\(suffix)-LISTEN:\(port + 10_000),fork,reuseaddr",
        "TCP\(suffix):\(name):\(port)")
    }
    try wait(for: "the proxy") {
      try namespace.run("ss", "-lnt").split(separator: "\n").count > ports.count
    }
    let rules = ports.map {
      "iifname \(Self.inside) tcp dport \($0) redirect to :\($0 + 10_000);"
    }
    try namespace.run(
      "nft",
      "table inet proxy { chain pre { type nat hook prerouting priority -100; "
        + rules.joined(separator: " ") + " }; }")
    return programs
  }

  /// Loses so many of a thousand TCP segments of the client's wire, each way.
  public func loseSegments(perMille: Int, of client: Host) throws {
    for (place, device) in [(namespace, Self.inside), (client.namespace, Host.interface)] {
      try place.run(
        "nft",
        "table netdev lossy { chain i { type filter hook ingress device \(device) priority 0; "
          + "meta l4proto tcp numgen random mod 1000 < \(perMille) drop; }; }")
    }
  }

  /// How many packets its connection tracking called invalid.
  public func invalidPackets() throws -> Int { try counter("invalid") }
  /// How many RSTs it has forwarded or sent.
  public func resets() throws -> Int { try counter("resets") }

  private func counter(_ name: String) throws -> Int {
    let text = try namespace.run("nft", "list", "counter", "inet", "strict", name)
    let words = text.split { $0 == " " || $0 == "\n" || $0 == "\t" }
    guard let index = words.firstIndex(of: "packets"), let count = Int(words[index + 1]) else {
      throw Failure("no counter in: \(text)")
    }
    return count
  }

  /// The rules. Invalid replies to a masquerading router never reach its forward chain, so they
  /// are counted right behind connection tracking (priority -200).
  static let rules = """
    table inet strict {
      counter invalid { }
      counter resets { }
      chain prerouting { type filter hook prerouting priority -150;
        ct state invalid counter name invalid drop
      }
      chain postrouting { type filter hook postrouting priority 0;
        tcp flags & rst == rst counter name resets
      }
      chain translate { type nat hook postrouting priority 100;
        oifname "outside" masquerade
      }
    }
    """
}

/// Whether the network interfaces segment, merge and checksum for the kernel (ethtool -K).
public enum Offloads: CaseIterable, Sendable {
  /// As veth has them by default.
  case on
  /// All off: every packet is on the wire as it is.
  case off
}

/// Runs `body` with a client and a server on one wire, and takes both away.
public func withTwoHosts<Result: Sendable>(
  offloads: Offloads = .on,
  _ body: @escaping @Sendable (_ client: Host, _ server: Host) throws -> Result
) async throws -> Result {
  try await blocking {
    let client = try Namespace(role: "client")
    defer { client.remove() }
    let server = try Namespace(role: "server")
    defer { server.remove() }
    let wire = Cable(number: 1)
    try wire.connect(client, Host.interface, to: server, Host.interface, offloads)
    return try body(wire.host(client, side: 1), wire.host(server, side: 2))
  }
}

/// Runs `body` with a client and a server at the ends of a bad network that does what `commands` say
/// (`EmulatedLink.set`), and takes all away. Packets are on the link as on a wire, one by one: the hosts'
/// interfaces leave neither segmentation nor checksums to it. With `offloads` on they merge what arrives
/// (GRO).
public func withEmulatedLink<Result: Sendable>(
  _ commands: [String] = [], offloads: Offloads = .on, seed: UInt64 = 1,
  _ body:
    @escaping @Sendable (_ client: Host, _ link: EmulatedLink, _ server: Host) throws -> Result
) async throws -> Result {
  try await blocking {
    let client = try Namespace(role: "client")
    defer { client.remove() }
    let middle = try Namespace(role: "link")
    defer { middle.remove() }
    let server = try Namespace(role: "server")
    defer { server.remove() }
    let wire = Cable(number: 1)
    try middle.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    try wire.lay(client, Host.interface, to: middle, EmulatedLink.clientInterface)
    try wire.lay(middle, EmulatedLink.serverInterface, to: server, Host.interface)
    for interface in [EmulatedLink.clientInterface, EmulatedLink.serverInterface] {
      try middle.run("ip", "link", "set", interface, "up")
    }
    for (host, side) in [(client, UInt8(1)), (server, 2)] {
      try wire.configure(host, Host.interface, side: side, .off)
      if offloads == .on { try host.run("ethtool", "-K", Host.interface, "gro", "on") }
    }
    let hosts = (wire.host(client, side: 1), wire.host(server, side: 2))
    let link = try EmulatedLink(in: middle, seed: seed)
    // Both ends know each other, and the interfaces' queues run, before the network turns bad.
    try wait(for: "an answer through the link") {
      (try? hosts.0.run("ping", "-c", "1", "-W", "0.2", "\(hosts.1.address)")) != nil
    }
    for command in commands { try link.set(command) }
    return try body(hosts.0, link, hosts.1)
  }
}

/// Runs `body` with a client behind a masquerading router and a server, and takes them away.
/// `offloads` is for the client's wire, `outerOffloads` for the server's.
public func withRoutedHosts<Result: Sendable>(
  offloads: Offloads = .on, outerOffloads: Offloads = .on,
  _ body: @escaping @Sendable (_ client: Host, _ router: Router, _ server: Host) throws -> Result
) async throws -> Result {
  try await blocking {
    let client = try Namespace(role: "client")
    defer { client.remove() }
    let router = try Namespace(role: "router")
    defer { router.remove() }
    let server = try Namespace(role: "server")
    defer { server.remove() }
    let inner = Cable(number: 1)
    let outer = Cable(number: 2)
    try inner.connect(client, Host.interface, to: router, Router.inside, offloads)
    try outer.connect(router, Router.outside, to: server, Host.interface, outerOffloads)
    try client.run("ip", "route", "add", "default", "via", "\(inner.address(2))")
    try client.run("ip", "route", "add", "default", "via", "\(inner.address6(2))")
    try router.run("nft", Router.rules)
    try router.run(
      "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
      "net.netfilter.nf_conntrack_tcp_be_liberal=0")
    return try body(
      inner.host(client, side: 1),
      Router(host: inner.host(router, side: 2)),
      outer.host(server, side: 2))
  }
}

/// Runs `body` with a client and a server on one wire and an intruder on another one of the server's,
/// and takes them away. The server believes that half of 10.0.0.0/8 is behind the intruder.
public func withIntruder<Result: Sendable>(
  offloads: Offloads = .on,
  _ body: @escaping @Sendable (_ client: Host, _ server: Host, _ intruder: Host) throws -> Result
) async throws -> Result {
  try await withTwoHosts(offloads: offloads) { client, server in
    let intruder = try Namespace(role: "intruder")
    defer { intruder.remove() }
    let wire = Cable(number: 3)
    try wire.connect(intruder, Host.interface, to: server.namespace, "eth1", offloads)
    try intruder.run("ip", "route", "add", "\(server.address)", "via", "\(wire.address(2))")
    try server.run("ip", "route", "add", "10.128.0.0/9", "via", "\(wire.address(1))")
    return try body(client, server, wire.host(intruder, side: 1))
  }
}

extension Endpoint {
  /// An endpoint behind the intruder that no kernel answers for.
  public static func behindIntruder(using random: inout SeededRandom) -> Endpoint {
    let host = UInt32.random(in: 0..<1 << 23, using: &random)
    return Endpoint(
      IPAddress(ipv4: 0x0A80_0000 | host), .random(in: 1024...65_535, using: &random))
  }
}

/// A veth pair between two namespaces, with addresses 10.77.NUMBER.1 and .2.
private struct Cable {
  let number: UInt8

  func address(_ side: UInt8) -> IPAddress {
    IPAddress(ipv4: 0x0A4D_0000 | UInt32(number) << 8 | UInt32(side))
  }

  func address6(_ side: UInt8) -> IPAddress {
    IPAddress(high: 0xFD77_0000_0000_0000 | UInt64(number) << 32, low: UInt64(side))
  }

  func linkAddress(_ side: UInt8) -> [UInt8] { [2, 0, 0, 0, number, side] }

  func host(_ namespace: Namespace, side: UInt8) -> Host {
    Host(
      namespace: namespace, address: address(side), address6: address6(side),
      linkAddress: linkAddress(side), neighbourLinkAddress: linkAddress(3 - side))
  }

  /// A cable without addresses of IP.
  func lay(
    _ one: Namespace, _ oneName: String, to other: Namespace, _ otherName: String
  ) throws {
    try run(
      "ip", "link", "add", oneName, "netns", one.name, "address", text(linkAddress(1)), "type",
      "veth", "peer", "name", otherName, "netns", other.name, "address", text(linkAddress(2)))
  }

  func connect(
    _ one: Namespace, _ oneName: String, to other: Namespace, _ otherName: String,
    _ offloads: Offloads
  ) throws {
    try lay(one, oneName, to: other, otherName)
    try configure(one, oneName, side: 1, offloads)
    try configure(other, otherName, side: 2, offloads)
  }

  func configure(
    _ namespace: Namespace, _ name: String, side: UInt8, _ offloads: Offloads
  ) throws {
    try namespace.run("ip", "address", "add", "\(address(side))/24", "dev", name)
    try namespace.run("ip", "address", "add", "\(address6(side))/64", "dev", name, "nodad")
    // Else a cut takes away the IPv6 addresses, and nobody puts them back (`addrconf_ifdown`).
    try namespace.run("sysctl", "-qw", "net.ipv6.conf.\(name).keep_addr_on_down=1")
    try namespace.run("ip", "link", "set", name, "up")
    guard offloads == .off else { return }
    try namespace.run(
      "ethtool", "-K", name, "tx", "off", "rx", "off", "sg", "off", "tso", "off", "gso", "off",
      "gro", "off")
  }

  private func text(_ linkAddress: [UInt8]) -> String {
    linkAddress.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
  }
}
