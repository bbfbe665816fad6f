// Routes, links, neighbours, addresses and their changes, against the kernel in namespaces.

import CLinux
import Glibc
import Kernel
import Testing
import Wire

@Suite struct NetlinkTests {
  private static let peer = IPAddress("10.9.0.2")!
  private static let far = IPAddress("198.51.100.7")!

  /// A host with 10.9.0.1/24 on `v0`, whose other end is `v1` in the same namespace.
  private func host(_ role: String) throws -> Lab {
    let lab = try Lab(role)
    try lab.ip("link add v0 address 02:00:00:00:00:01 type veth peer name v1")
    try lab.ip("addr add 10.9.0.1/24 dev v0")
    try lab.ip("link set v0 up")
    try lab.ip("link set v1 up")
    return lab
  }

  @Test func aRouteOnTheLinkHasNoGateway() throws {
    let lab = try host("onlink")
    let socket = try lab.inside { try NetlinkSocket() }
    let route = try Routes.lookup(socket, to: Self.peer)
    let link = try #require(try Links.named("v0", socket))
    #expect(route.gateway == nil)
    #expect(route.interfaceIndex == link.index)
    #expect(route.source == IPAddress("10.9.0.1"))
    #expect(!route.isLocal)
    #expect(route.mtu == nil)
  }

  @Test func aRouteNamesItsGatewaySourceAndMTU() throws {
    let lab = try host("gateway")
    try lab.ip("addr add 10.9.0.77/24 dev v0")
    try lab.ip("route add 198.51.100.0/24 via 10.9.0.2 src 10.9.0.77 mtu 1400")
    let socket = try lab.inside { try NetlinkSocket() }
    let route = try Routes.lookup(socket, to: Self.far)
    #expect(route.gateway == Self.peer)
    #expect(route.source == IPAddress("10.9.0.77"))
    #expect(route.mtu == 1400)
    let asked = try Routes.lookup(socket, to: Self.far, from: IPAddress("10.9.0.1"))
    #expect(asked.source == IPAddress("10.9.0.1"))
    #expect(asked.gateway == Self.peer)
  }

  @Test func aGatewayMayBeIPv6() throws {
    let lab = try host("via6")
    try lab.ip("route add 198.51.100.0/24 via inet6 fe80::1 dev v0")
    let socket = try lab.inside { try NetlinkSocket() }
    let route = try Routes.lookup(socket, to: Self.far)
    #expect(route.gateway == IPAddress("fe80::1"))
    #expect(route.source == IPAddress("10.9.0.1"))
  }

  @Test func rulesSeeProtocolPortsAndUser() throws {
    let lab = try host("rules")
    try lab.ip("route add 198.51.100.0/24 via 10.9.0.2 table 100")
    try lab.ip("route add 198.51.100.0/24 via 10.9.0.3 table 200")
    try lab.ip("rule add ipproto tcp dport 443 table 100")
    try lab.ip("rule add ipproto tcp sport 4000 uidrange 0-0 table 200")
    let socket = try lab.inside { try NetlinkSocket() }
    let first = try Routes.lookup(socket, to: Self.far, destinationPort: 443)
    #expect(first.gateway == Self.peer)
    let second = try Routes.lookup(socket, to: Self.far, destinationPort: 80, sourcePort: 4000)
    #expect(second.gateway == IPAddress("10.9.0.3"))
    #expect(throws: SystemError.self) {
      try Routes.lookup(socket, to: Self.far, destinationPort: 80)
    }
  }

  @Test func noWayIsAnErrorThatSaysWhich() throws {
    let lab = try host("noway")
    try lab.ip("route add prohibit 203.0.113.0/24")
    try lab.ip("route add unreachable 192.0.2.0/24")
    let socket = try lab.inside { try NetlinkSocket() }
    for (address, code) in [
      ("198.51.100.7", ENETUNREACH), ("203.0.113.1", EACCES), ("192.0.2.1", EHOSTUNREACH),
    ] {
      let error = #expect(throws: SystemError.self) {
        try Routes.lookup(socket, to: IPAddress(address)!)
      }
      #expect(error?.code == code)
      #expect(error?.call == "find a route to \(address)")
    }
    // The socket is good for the next question.
    #expect(try Routes.lookup(socket, to: Self.peer).gateway == nil)
  }

  @Test func thisHostAndTheLoopbackAreLocal() throws {
    let lab = try host("local")
    let socket = try lab.inside { try NetlinkSocket() }
    for address in ["127.0.0.1", "10.9.0.1"] {
      let route = try Routes.lookup(socket, to: IPAddress(address)!)
      #expect(route.isLocal)
      #expect(route.interfaceIndex == 1)
    }
  }

  @Test func theDeviceCanBeChosen() throws {
    let lab = try host("oif")
    try lab.ip("link add d0 type veth peer name d1")
    try lab.ip("addr add 10.8.0.1/24 dev d0")
    try lab.ip("link set d0 up")
    try lab.ip("link set d1 up")
    try lab.ip("route add 198.51.100.0/24 via 10.9.0.2 metric 1")
    try lab.ip("route add 198.51.100.0/24 via 10.8.0.9 metric 2")
    let socket = try lab.inside { try NetlinkSocket() }
    let chosen = try #require(try Links.named("d0", socket))
    let route = try Routes.lookup(socket, to: Self.far, interface: chosen.index)
    #expect(route.gateway == IPAddress("10.8.0.9"))
    #expect(try Routes.lookup(socket, to: Self.far).gateway == Self.peer)
  }

  /// The same questions about IPv6: a next hop is a link-local address as a rule.
  @Test func routesOfIPv6() throws {
    let lab = try host("route6")
    try lab.ip("addr add 2001:db8:9::1/64 dev v0 nodad")
    try lab.ip("addr add 2001:db8:9::77/64 dev v0 nodad")
    try lab.ip("route add 2001:db8:a::/48 via fe80::1 dev v0 src 2001:db8:9::77 mtu 1400")
    try lab.ip("route add prohibit 2001:db8:b::/48")
    try lab.ip("route add blackhole 2001:db8:c::/48")
    try lab.ip("-6 rule add ipproto tcp dport 443 to 2001:db8:d::/48 table 100")
    try lab.ip("route add 2001:db8:d::/48 via 2001:db8:9::2 table 100")
    let socket = try lab.inside { try NetlinkSocket() }
    let index = try #require(try Links.named("v0", socket)).index
    let onLink = try Routes.lookup(socket, to: IPAddress("2001:db8:9::2")!)
    #expect(onLink.gateway == nil && onLink.interfaceIndex == index && !onLink.isLocal)
    let far = IPAddress("2001:db8:a::7")!
    let route = try Routes.lookup(socket, to: far)
    #expect(route.gateway == IPAddress("fe80::1") && route.mtu == 1400)
    #expect(route.source == IPAddress("2001:db8:9::77"))
    let asked = try Routes.lookup(socket, to: far, from: IPAddress("2001:db8:9::1"))
    #expect(asked.source == IPAddress("2001:db8:9::1"))
    let ruled = try Routes.lookup(socket, to: IPAddress("2001:db8:d::1")!, destinationPort: 443)
    #expect(ruled.gateway == IPAddress("2001:db8:9::2"))
    #expect(try Routes.lookup(socket, to: IPAddress("2001:db8:9::1")!).isLocal)
    for (address, code) in [
      ("2001:db8:b::1", EACCES), ("2001:db8:c::1", EINVAL), ("2001:db8:ff::1", ENETUNREACH),
    ] {
      let error = #expect(throws: SystemError.self) {
        try Routes.lookup(socket, to: IPAddress(address)!)
      }
      #expect(error?.code == code, "\(address)")
    }
  }

  @Test func linksAreDescribed() throws {
    let lab = try host("links")
    try lab.ip("link add br0 type bridge")
    try lab.ip("link set v1 master br0")
    try lab.ip("link set v0 mtu 1400")
    try lab.ip("tuntap add t0 mode tun")
    let socket = try lab.inside { try NetlinkSocket() }
    let links = try Links.all(socket)
    #expect(Set(links.map(\.name)) == ["lo", "v0", "v1", "br0", "t0"])
    let v0 = try #require(try Links.named("v0", socket))
    #expect(v0.mtu == 1400)
    #expect(v0.hardwareType == UInt16(ARPHRD_ETHER))
    #expect(v0.address?.description == "02:00:00:00:00:01")
    #expect(v0.isUp && v0.isRunning)
    #expect(!v0.isBridgePort && v0.master == nil)
    let v1 = try #require(try Links.named("v1", socket))
    let bridge = try #require(try Links.named("br0", socket))
    #expect(v1.isBridgePort)
    #expect(v1.master == bridge.index)
    #expect(!bridge.isBridgePort && !bridge.isUp)
    let tun = try #require(try Links.named("t0", socket))
    #expect(tun.address == nil)
    #expect(try Links.index(v0.index, socket) == v0)
    #expect(links.contains(v0))
    #expect(try Links.named("none", socket) == nil)
    #expect(try Links.named("a name that is too long", socket) == nil)
    #expect(try Links.index(9999, socket) == nil)
  }

  @Test func neighboursAreFound() throws {
    let lab = try host("neigh")
    try lab.ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:99 dev v0 nud reachable")
    try lab.ip("neigh add 10.9.0.3 dev v0 nud failed")
    let socket = try lab.inside { try NetlinkSocket() }
    let index = try #require(try Links.named("v0", socket)).index
    let found = try #require(try Neighbours.find(Self.peer, interface: index, socket))
    #expect(found.linkAddress == LinkAddress(rawValue: 0x0200_0000_0099))
    #expect(found.isUsable)
    let failed = try #require(
      try Neighbours.find(IPAddress("10.9.0.3")!, interface: index, socket))
    #expect(!failed.isUsable && failed.linkAddress == nil)
    #expect(try Neighbours.find(Self.far, interface: index, socket) == nil)
    let all = try Neighbours.all(socket)
    #expect(Set(all.filter { $0.interfaceIndex == index && $0.address.isIPv4 }) == [found, failed])
  }

  @Test func neighboursOfIPv6AreFound() throws {
    let lab = try host("neigh6")
    try lab.ip("neigh add fe80::2 lladdr 02:00:00:00:00:99 dev v0 nud reachable")
    let socket = try lab.inside { try NetlinkSocket() }
    let index = try #require(try Links.named("v0", socket)).index
    let address = IPAddress("fe80::2")!
    let found = try #require(try Neighbours.find(address, interface: index, socket))
    #expect(found.linkAddress == LinkAddress(rawValue: 0x0200_0000_0099) && found.isUsable)
    #expect(try Neighbours.all(socket).contains(found))
    #expect(try Neighbours.find(IPAddress("fe80::3")!, interface: index, socket) == nil)
  }

  /// Not what means something on one link only, and not what may be another host's: `v1` answers for
  /// one of them, with the same address.
  @Test func ownAddressesOfIPv6AreListed() throws {
    let lab = try host("addresses6")
    let other = try Lab("addresses6b")
    try lab.ip("link set v1 netns \(other.name)")
    try other.ip("link set v1 up")
    try other.ip("addr add 2001:db8:9::5/64 dev v1 nodad")
    try lab.ip("addr add 2001:db8:9::1/64 dev v0 nodad")
    try lab.ip("addr add 2001:db8:9::3 peer 2001:db8:9::4 dev v0 nodad")
    try lab.ip("addr add 2001:db8:9::5/64 dev v0")
    try lab.ip("addr add 2001:db8:9::6/64 dev v0 preferred_lft 0 nodad")
    let socket = try lab.inside { try NetlinkSocket() }
    let expected = [
      "127.0.0.1", "10.9.0.1", "::1", "2001:db8:9::1", "2001:db8:9::3", "2001:db8:9::6",
    ]
    #expect(Set(try LocalAddresses.all(socket).map(\.address.description)) == Set(expected))
    // It was tried, and is the other's.
    #expect(try eventually { try lab.ip("addr show dev v0").contains("dadfailed") })
    #expect(Set(try LocalAddresses.all(socket).map(\.address.description)) == Set(expected))
  }

  @Test func ownAddressesAreListed() throws {
    let lab = try host("addresses")
    let socket = try lab.inside { try NetlinkSocket() }
    #expect(
      Set(try LocalAddresses.all(socket).map(\.address.description))
        == ["127.0.0.1", "10.9.0.1", "::1"])
    // A dump of more than one part.
    try lab.run("for i in $(seq 1 250); do echo addr add 10.7.0.$i/32 dev v0; done | ip -batch -")
    let all = try LocalAddresses.all(socket)
    #expect(Set(all.map(\.address)).count == 253)
    #expect(all.count == 253)
  }

  @Test func changesAreTold() throws {
    let lab = try host("events")
    let socket = try lab.inside { try NetlinkSocket() }
    var events = try lab.inside { try NetworkEvents() }
    let index = try #require(try Links.named("v0", socket)).index
    while try events.next() != nil {}

    try lab.ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:99 dev v0 nud reachable")
    #expect(
      try told(&events) {
        if case .neighbour(let one) = $0 { return one.address == Self.peer && one.isUsable }
        return false
      })
    try lab.ip("neigh del 10.9.0.2 dev v0")
    #expect(
      try told(&events) {
        if case .neighbour(let one) = $0 { return one.address == Self.peer && !one.isUsable }
        return false
      })
    try lab.ip("addr add 10.6.0.1/24 dev v0")
    #expect(try told(&events) { $0 == .addresses })
    try lab.ip("addr del 10.6.0.1/24 dev v0")
    #expect(try told(&events) { $0 == .addresses })
    try lab.ip("addr add 2001:db8:6::1/64 dev v0 nodad")
    #expect(try told(&events) { $0 == .addresses })
    try lab.ip("neigh add 2001:db8:6::2 lladdr 02:00:00:00:00:99 dev v0 nud reachable")
    #expect(
      try told(&events) {
        if case .neighbour(let one) = $0 { return one.address == IPAddress("2001:db8:6::2") }
        return false
      })
    while try events.next() != nil {}
    try lab.ip("route add 2001:db8:a::/48 via 2001:db8:6::2")
    #expect(try told(&events) { $0 == .routes })
    try lab.ip("route add 198.51.100.0/24 via 10.9.0.2")
    #expect(try told(&events) { $0 == .routes })
    try lab.ip("rule add to 203.0.113.0/24 table 9")
    #expect(try told(&events) { $0 == .routes })
    try lab.ip("link set v1 down")
    #expect(
      try told(&events) {
        if case .link(let one) = $0 { return one.index == index && one.isUp && !one.isRunning }
        return false
      })
    try lab.ip("link set v1 up")
    #expect(
      try told(&events) {
        if case .link(let one) = $0 { return one.index == index && one.isRunning }
        return false
      })
    try lab.ip("link del v0")
    #expect(
      try told(&events) {
        if case .link(let one) = $0 { return one.index == index && !one.isUp }
        return false
      })
  }

  @Test func lostEventsAreToldAsOverrun() throws {
    let lab = try host("overrun")
    var events = try lab.inside { try NetworkEvents() }
    var small = Int32(1)
    unsafe setsockopt(events.descriptor, SOL_SOCKET, SO_RCVBUF, &small, 4)
    try lab.run("for i in $(seq 1 250); do echo addr add 10.7.0.$i/32 dev v0; done | ip -batch -")
    #expect(try told(&events) { $0 == .overrun })
    while try events.next() != nil {}
    try lab.ip("addr add 10.6.0.1/24 dev v0")
    #expect(try told(&events) { $0 == .addresses })
  }

  /// Whether an event of that kind comes.
  private func told(
    _ events: inout NetworkEvents, _ isIt: (NetworkEvent) -> Bool
  ) throws -> Bool {
    for _ in 0..<200 {
      while let event = try events.next() {
        if isIt(event) { return true }
      }
      usleep(10_000)
    }
    return false
  }
}
