// Which way segments leave: route, device and neighbour, as the kernel knows them.

import Engine
import Glibc
import Kernel
import Wire

/// How one remote address is reached.
struct NextHop {
  /// The way around the kernel's routing; nil where the raw socket has to be used: loopback, a
  /// neighbour that is not known, a device whose link header we cannot write.
  let link: LinkHop?
  /// The address to send from.
  let source: IPv4Address
  /// What the way can carry.
  let path: Path
}

/// What changed.
struct NetworkChanges: OptionSet {
  let rawValue: UInt8

  /// How a neighbour is reached.
  static let neighbours = NetworkChanges(rawValue: 1)
  /// Routes, devices or addresses: everything may be reached in another way.
  static let routes = NetworkChanges(rawValue: 2)
}

/// The kernel's view of the network, kept up to date from its events.
struct NextHops: ~Copyable {
  fileprivate struct NeighbourKey: Hashable {
    let interface: Int32
    let address: IPv4Address
  }

  private let netlink: NetlinkSocket
  private let interface: Int32?
  private let transmit: TransmitMode
  private var state: State
  /// Whether devices or addresses are others than those known here, so that `read()` is due.
  var isStale = false

  /// What the kernel said.
  fileprivate struct State {
    var links: [Int32: Link] = [:]
    var neighbours: [NeighbourKey: LinkAddress] = [:]
    var addresses: [IPv4Address: Int] = [:]
  }

  /// Reads the network's state. `interface` is the device to stay on, where there is one.
  init(interface: Int32?, transmit: TransmitMode) throws(SystemError) {
    let netlink = try NetlinkSocket()
    state = try State(netlink, interface: interface)
    self.netlink = netlink
    self.interface = interface
    self.transmit = transmit
  }

  /// The host's addresses, each with the MTU of its device in bytes.
  var addresses: [IPv4Address: Int] { state.addresses }

  /// Takes an event in and says what changed, as far as that is known without `read()`.
  mutating func note(_ event: NetworkEvent) -> NetworkChanges {
    switch event {
    case .neighbour(let neighbour): return state.note(neighbour) ? .neighbours : []
    // Routes are never kept: each is asked for.
    case .routes: return .routes
    case .link, .addresses, .overrun:
      isStale = true
      return []
    }
  }

  /// Reads the network's state anew; where that fails, it stays what it was.
  mutating func read() throws(SystemError) {
    state = try State(netlink, interface: interface)
    isStale = false
  }

  /// How `tuple.remote` is reached. A local address or port of zero leaves it to the kernel.
  func find(_ tuple: FourTuple) throws(SystemError) -> NextHop {
    let route = try Routes.lookup(
      netlink, to: tuple.remote.address,
      from: tuple.local.address == .any ? nil : tuple.local.address, interface: interface,
      destinationPort: tuple.remote.port == 0 ? nil : tuple.remote.port,
      sourcePort: tuple.local.port == 0 ? nil : tuple.local.port)
    let link = state.links[route.interfaceIndex]
    let hop = link.flatMap { linkHop(route, on: $0, to: tuple.remote.address) }
    let mtu = min(link?.mtu ?? 1500, route.mtu ?? .max)
    return NextHop(
      link: hop, source: route.source, path: Path(mtu: mtu, carriesRuns: hop != nil))
  }

  private func linkHop(_ route: Route, on link: Link, to remote: IPv4Address) -> LinkHop? {
    guard transmit == .auto, !route.isLocal, !route.hasIPv6Gateway else { return nil }
    let key = NeighbourKey(interface: link.index, address: route.gateway ?? remote)
    return LinkHop(on: link, to: state.neighbours[key])
  }
}

extension NextHops.State {
  fileprivate init(
    _ netlink: borrowing NetlinkSocket, interface: Int32?
  ) throws(SystemError) {
    for link in try Links.all(netlink) { links[link.index] = link }
    for neighbour in try Neighbours.all(netlink) { _ = note(neighbour) }
    for (address, index) in try LocalAddresses.all(netlink)
    where interface == nil || interface == index {
      addresses[address] = links[index]?.mtu ?? 1500
    }
  }

  /// Notes a neighbour's link address; false where it is what it was.
  fileprivate mutating func note(_ neighbour: Neighbour) -> Bool {
    let key = NextHops.NeighbourKey(
      interface: neighbour.interfaceIndex, address: neighbour.address)
    let address = neighbour.isUsable ? neighbour.linkAddress : nil
    defer { neighbours[key] = address }
    return neighbours[key] != address
  }
}
