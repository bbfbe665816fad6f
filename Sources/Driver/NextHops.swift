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
  /// The neighbour that `link` depends on, known or not; nil where it depends on none.
  let neighbour: NeighbourKey?
  /// The address to send from.
  let source: IPAddress
  /// What the way can carry.
  let path: Path

  /// What a kernel UDP socket can carry on it: the kernel cuts runs wherever they go.
  var datagramPath: Path { Path(mtu: path.mtu, carriesRuns: true) }
}

/// Who has to be known to write a link header.
struct NeighbourKey: Hashable {
  let interface: Int32
  let address: IPAddress
}

/// What changed.
struct NetworkChanges {
  /// Neighbours that are reached in another way.
  var neighbours: Set<NeighbourKey> = []
  /// Whether routes, devices or addresses changed: everything may be reached in another way.
  var areRoutesOthers = false
}

/// The kernel's view of the network, kept up to date from its events.
struct NextHops: ~Copyable {
  private let netlink: NetlinkSocket
  private let device: Link?
  private let transmit: TransmitMode
  private let mark: UInt32?
  private var state: State
  /// Whether devices or addresses are others than those known here, so that `read()` is due.
  var isStale = false

  /// What the kernel said.
  fileprivate struct State {
    /// More neighbours than these are not remembered once the kernel has forgotten them.
    static let memoryLimit = 4096

    var links: [Int32: Link] = [:]
    /// Where each neighbour is, or was when the kernel last knew. After a link was down it asks
    /// again, and where its question is lost (the other end's link comes up a moment later) not
    /// before another second: until then the neighbour is most likely where it was.
    var neighbours: [NeighbourKey: LinkAddress] = [:]
    var addresses: [IPAddress: Int] = [:]
  }

  /// Reads the network's state. `device` is the one to stay on, where there is one.
  init(device: Link?, transmit: TransmitMode, mark: UInt32? = nil) throws(SystemError) {
    let netlink = try NetlinkSocket()
    state = try State(netlink, interface: device?.index)
    self.netlink = netlink
    self.device = device
    self.transmit = transmit
    self.mark = mark
  }

  /// The host's addresses, each with the MTU of its device in bytes.
  var addresses: [IPAddress: Int] { state.addresses }

  /// Throws where another device now has the name of the one to stay on, as ppp0 after the line was
  /// cut: the sockets are bound to the old one, and it took a capability to open them.
  func checkDevice() throws(SystemError) {
    guard let device,
      state.links.values.contains(where: { $0.name == device.name && $0.index != device.index })
    else { return }
    throw SystemError(
      call: "--dev: stay on \(device.name)", code: ENODEV,
      remedy: "Another device has that name now: start rsock again")
  }

  /// Takes an event in and adds what changed, as far as that is known without `read()`.
  mutating func note(_ event: NetworkEvent, in changes: inout NetworkChanges) {
    switch event {
    case .neighbour(let neighbour):
      if let key = state.note(neighbour) { changes.neighbours.insert(key) }
    // Routes are never kept: each is asked for.
    case .routes: changes.areRoutesOthers = true
    case .addresses: isStale = true
    case .link, .overrun:
      isStale = true
      changes.areRoutesOthers = true
    }
  }

  /// Reads the network's state anew; where that fails, it stays what it was.
  mutating func read() throws(SystemError) {
    let known = state.neighbours
    state = try State(netlink, interface: device?.index)
    state.remember(known)
    isStale = false
  }

  /// How `tuple.remote` is reached by segments of a carrier. A local address or port of zero leaves it to
  /// the kernel.
  func find(_ tuple: FourTuple, by carrier: Carrier) throws(SystemError) -> NextHop {
    // The identifier of ICMP is no port.
    let (local, remote) =
      carrier.hasPorts ? (tuple.local.port, tuple.remote.port) : (0, 0)
    let route = try Routes.lookup(
      netlink, to: tuple.remote.address,
      from: tuple.local.address.isAny ? nil : tuple.local.address, interface: device?.index,
      mark: mark, protocolNumber: carrier.protocolNumber(tuple.family),
      destinationPort: remote == 0 ? nil : remote, sourcePort: local == 0 ? nil : local)
    let link = state.links[route.interfaceIndex]
    let neighbour = neighbour(on: route, to: tuple.remote.address)
    let hop = link.flatMap { link in
      neighbour.flatMap {
        LinkHop(on: link, to: state.neighbours[$0], family: tuple.family)
      }
    }
    let mtu = min(link?.mtu ?? 1500, route.mtu ?? .max)
    return NextHop(
      link: hop, neighbour: neighbour, source: route.source,
      path: Path(mtu: mtu, carriesRuns: hop != nil))
  }

  /// Whom to hand packets to on the link; nil where the raw socket has to be used.
  private func neighbour(on route: Route, to remote: IPAddress) -> NeighbourKey? {
    guard transmit == .auto, !route.isLocal else { return nil }
    return NeighbourKey(interface: route.interfaceIndex, address: route.gateway ?? remote)
  }
}

extension NextHops.State {
  fileprivate init(
    _ netlink: borrowing NetlinkSocket, interface: Int32?
  ) throws(SystemError) {
    for link in try Links.all(netlink) { links[link.index] = link }
    for neighbour in try Neighbours.all(netlink) { note(neighbour) }
    for (address, index) in try LocalAddresses.all(netlink)
    where interface == nil || interface == index {
      addresses[address] = links[index]?.mtu ?? 1500
    }
  }

  /// Notes a neighbour's link address; nil where it is what it was, or not known any more.
  @discardableResult
  fileprivate mutating func note(_ neighbour: Neighbour) -> NeighbourKey? {
    let key = NeighbourKey(interface: neighbour.interfaceIndex, address: neighbour.address)
    guard neighbour.isUsable, let address = neighbour.linkAddress, neighbours[key] != address
    else { return nil }
    neighbours[key] = address
    return key
  }

  /// Takes over what was known of neighbours that the kernel does not know now.
  fileprivate mutating func remember(_ known: [NeighbourKey: LinkAddress]) {
    guard known.count <= Self.memoryLimit else { return }
    neighbours.merge(known.filter { links[$0.key.interface] != nil }) { now, _ in now }
  }
}
