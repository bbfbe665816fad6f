// The client's half of the loop: one socket for all apps, and a guarded local port a channel.

import Engine
import Glibc
import Kernel
import Logging
import Wire

/// Runs a client until a signal stops it.
func runClient(
  _ configuration: ClientConfiguration, log: Logger, process: inout ProcessSetup
) throws(StartError) {
  let tunnel = configuration.tunnel
  let start = try Start(tunnel, log: log)
  try start.checkLocalAddress()
  let apps: DatagramSocket
  do throws(SystemError) { apps = try DatagramSocket(listeningAt: configuration.listen) } catch {
    throw StartError(error)
  }
  start.report(apps.receiveBufferLimit, "datagrams from apps")
  start.report(apps.sendBufferLimit, "datagrams to apps")
  let ruleset = try start.ruleset(configuration.rules(for: configuration.server))
  var engine = EngineConfiguration(
    role: .client(
      server: configuration.server, ports: tunnel.ports, maxChannels: configuration.maxChannels))
  engine.idleTimeout = tunnel.idleTimeout
  engine.channelsPerPort = configuration.channelsPerPort
  engine.rotation = configuration.rotation
  engine.schedule = configuration.schedule
  engine.initialSequence = configuration.initialSequence
  if let keepalive = tunnel.keepalive { engine.keepalive = min(keepalive, engine.keepalive) }
  // CAP_NET_ADMIN adds each channel's port to the ruleset, and where the kernel asks for it, a filter
  // to the channel's guard.
  let role = ClientRole(
    configuration: configuration, ruleset: ruleset, apps: apps, interface: start.device?.index)
  try start.run(
    engine, role, configuration.families, keeping: .netAdmin,
    greeting:
      "client ready: apps send to \(configuration.listen), the server is \(configuration.serverText)",
    process: &process)
}

/// What a client adds to the loop.
struct ClientRole: TunnelRole, ~Copyable {
  /// How many source ports are drawn for a channel until one is fresh; else, and where there is no other, the last one
  /// will do. The kernel draws a guard's, as
  /// SO_REUSEADDR has it, from the odd ones of the lower half: 7,000 (`inet_csk_find_open_port`).
  private static let draws = 16

  private let configuration: ClientConfiguration
  private var ruleset: Ruleset?
  /// Where the server may be; none while that is not known.
  private var servers: [IPAddress]
  /// Where it is, or was: the address that answered, or the first one.
  private var server: IPAddress?
  /// Follows the server's name, where it has one.
  private var name: NamedAddress?
  private let apps: DatagramSocket
  private let interface: Int32?
  private var guards = PlaceTable<GuardSocket>()
  /// Channels on UDP by their sockets' ports.
  private var channels: [UInt16: Int] = [:]
  private var lastFailures: [IPAddress: SystemError] = [:]

  init(
    configuration: ClientConfiguration, ruleset: consuming Ruleset?,
    apps: consuming DatagramSocket, interface: Int32?
  ) {
    self.interface = interface
    self.configuration = configuration
    self.ruleset = ruleset
    server = configuration.serverName == nil ? configuration.server : nil
    servers = server.map { [$0] } ?? []
    self.apps = apps
  }

  func filter(
    _ family: AddressFamily, addresses: [IPAddress]
  ) throws(SystemError) -> SocketFilter {
    let local = configuration.tunnel.localAddress.map { [$0] } ?? addresses
    // The one that is left is heard until another one answers.
    return try TunnelFilter.client(
      servers: servers + (server.map { [$0] } ?? []), ports: configuration.tunnel.ports,
      addresses: local, family: family, protocols: configuration.tunnel.carriers.protocols)
  }

  mutating func begin(_ tunnel: inout Tunnel) throws(SystemError) {
    try ruleset?.watch(tunnel.epoll)
    try tunnel.epoll.add(apps.descriptor.rawValue, token: Token.firstOfRole)
    guard let serverName = configuration.serverName else { return }
    var name = try NamedAddress(
      serverName, families: configuration.families, at: tunnel.now)
    name.fellSilent(at: tunnel.now)
    try name.watch(tunnel.epoll)
    self.name = consume name
  }

  var places: ProgramStatus.Places {
    ProgramStatus.Places(
      taddr: configuration.serverText, address: server?.description,
      listen: configuration.listen, ports: configuration.tunnel.ports)
  }

  var nextDeadline: Instant {
    switch name {
    case .some(let name): name.nextDeadline
    case nil: .distantFuture
    }
  }

  mutating func advance(_ tunnel: inout Tunnel) {
    if nextDeadline <= tunnel.now { name?.advance(tunnel) }
  }

  /// The server has these addresses: the engine finds out which one answers.
  private mutating func follow(_ addresses: [IPAddress], _ tunnel: inout Tunnel) {
    servers = addresses
    lastFailures = lastFailures.filter { addresses.contains($0.key) }
    if server == nil { use(addresses[0], &tunnel) }
    replaceFilters(&tunnel)
    tunnel.engine.setServers(addresses, at: tunnel.now)
    tunnel.handleEvents(for: &self)
  }

  /// The server is at this address. Firewall rules are for one address: while others are tried, guard
  /// sockets keep the kernel quiet.
  private mutating func use(_ address: IPAddress, _ tunnel: inout Tunnel) {
    server = address
    do throws(SystemError) {
      try ruleset?.replaceRole(configuration.rules(for: address))
    } catch { tunnel.log.error("\(error)") }
  }

  private func replaceFilters(_ tunnel: inout Tunnel) {
    let addresses = Array(tunnel.nextHops.addresses.keys)
    do throws(SystemError) {
      for family in tunnel.wire.families {
        try tunnel.wire.replaceFilter(filter(family, addresses: addresses), family)
      }
    } catch { tunnel.log.error("\(error)") }
  }

  private mutating func serverAnswered(at address: IPAddress, _ tunnel: inout Tunnel) {
    guard configuration.serverName != nil else { return }
    name?.isHeard(at: address)
    if servers.count > 1 {
      tunnel.log.notice("\(configuration.serverText) answers at \(address)")
    }
    guard server != address else { return }
    use(address, &tunnel)
    replaceFilters(&tunnel)
  }

  mutating func networkChanged(_ tunnel: inout Tunnel) {
    let left = tunnel.engine.channelTuples.filter { channel, tuple in
      guard let carrier = tunnel.engine.carrier(channel: channel),
        let way = try? way(to: tuple.remote, by: carrier, tunnel)
      else { return false }
      return way.source != tuple.local.address
    }
    tunnel.engine.networkChanged(leaving: left.map(\.channel), at: tunnel.now)
  }

  /// How a channel that is opened now leaves.
  private func way(
    to remote: Endpoint, by carrier: Carrier, _ tunnel: borrowing Tunnel
  ) throws(SystemError) -> NextHop {
    let local = Endpoint(configuration.tunnel.localAddress ?? .any(remote.address.family), 0)
    return try tunnel.nextHops.find(FourTuple(local: local, remote: remote), by: carrier)
  }

  mutating func receive(token: UInt64, _ tunnel: inout Tunnel) {
    if token == Token.ruleset { return ruleset?.repair(tunnel.log) ?? () }
    if token == Token.resolver {
      if name?.receive(tunnel) == true, let addresses = name?.addresses {
        follow(addresses, &tunnel)
      }
      return
    }
    tunnel.encapsulate(from: apps, .apps)
  }

  mutating func deliver(_ tunnel: inout Tunnel) {
    guard tunnel.deliveries.count > 0 else { return }
    let result = apps.send(
      tunnel.deliveries, runs: 0..<tunnel.deliveries.count, payloads: tunnel.packets,
      using: &tunnel.messages)
    tunnel.undelivered += result.lost
  }

  mutating func handle(_ event: Event, _ tunnel: inout Tunnel) {
    switch event {
    case .dial(let slot, let carrier, let remote): dial(slot, carrier, remote, &tunnel)
    case .channelClosed(let channel, let tuple):
      tunnel.log.debug("channel \(tuple) closed")
      tunnel.wire.setHop(nil, channel: channel)
      release(channel, port: tuple.local.port, &tunnel)
    case .serverAnswered(let address): serverAnswered(at: address, &tunnel)
    default:
      if case .connected = event, let server { name?.isHeard(at: server) }
      if case .disconnected = event { name?.fellSilent(at: tunnel.now) }
      tunnel.logEvent(event, peer: "the server \(configuration.serverText)")
    }
  }

  /// Lets go of what held a channel's port: nothing where that is an identifier of ICMP.
  private mutating func release(_ channel: Int, port: UInt16, _ tunnel: inout Tunnel) {
    if channels[port] == channel {
      channels[port] = nil
      tunnel.wire.udp.remove(port: port)
    } else if guards[channel] != nil {
      try? ruleset?.remove(localPort: port)
      guards[channel] = nil
    }
  }

  mutating func heedRefusals(_ tunnel: inout Tunnel) {
    for port in tunnel.wire.udp.takeRefused() {
      guard let channel = channels[port] else { continue }
      tunnel.segments.removeAll()
      tunnel.engine.noteRefusal(channel: channel, into: &tunnel.segments, at: tunnel.now)
      tunnel.wire.send(&tunnel.segments, payloads: tunnel.packets, nextHops: tunnel.nextHops)
      tunnel.handleEvents(for: &self)
    }
  }

  /// Opens a channel: the route gives the source address, a socket the source port.
  private mutating func dial(
    _ slot: Int, _ carrier: Carrier, _ remote: Endpoint, _ tunnel: inout Tunnel
  ) {
    guard !servers.isEmpty else { return tunnel.engine.dialFailed(slot: slot, at: tunnel.now) }
    do throws(SystemError) {
      let way = try way(to: remote, by: carrier, tunnel)
      switch carrier {
      case .tcp: try dialTCP(slot, way, remote, &tunnel)
      case .udp: try dialUDP(slot, way, remote, &tunnel)
      case .icmp: dialICMP(slot, way, remote, &tunnel)
      }
      lastFailures[remote.address] = nil
    } catch {
      tunnel.engine.dialFailed(slot: slot, at: tunnel.now)
      guard error != lastFailures.updateValue(error, forKey: remote.address) else { return }
      // Not every host has a way for each family of its peer's addresses.
      let level: Logger.Level = servers.count > 1 ? .info : .warning
      tunnel.log.log(level: level, "cannot dial \(remote): \(error)")
    }
  }

  private mutating func dialTCP(
    _ slot: Int, _ way: NextHop, _ remote: Endpoint, _ tunnel: inout Tunnel
  ) throws(SystemError) {
    var guarded = try GuardSocket(at: Endpoint(way.source, 0))
    var tuple = FourTuple(local: guarded.endpoint, remote: remote)
    for _ in 1..<Self.draws where !tunnel.engine.isFresh(tuple) {
      guard let other = try? GuardSocket(at: Endpoint(way.source, 0)) else { break }
      guarded = other
      tuple.local = guarded.endpoint
    }
    try ruleset?.add(localPort: tuple.local.port)
    let channel = tunnel.engine.dial(
      slot: slot, tuple: tuple, path: way.path, into: &tunnel.segments, at: tunnel.now)
    tunnel.log.debug("channel \(tuple) dialled")
    guards[channel] = Place(guarded)
    // Once more with the port, which policy rules and multiple paths may look at.
    tunnel.route(channel, tuple)
  }

  private mutating func dialUDP(
    _ slot: Int, _ way: NextHop, _ remote: Endpoint, _ tunnel: inout Tunnel
  ) throws(SystemError) {
    var socket = try carryingSocket(way, to: remote)
    var tuple = FourTuple(local: try socket.endpoint(), remote: remote)
    for _ in 1..<Self.draws where !tunnel.engine.isFresh(tuple) {
      guard let other = try? carryingSocket(way, to: remote) else { break }
      socket = other
      tuple.local = try socket.endpoint()
    }
    let port = tuple.local.port
    tunnel.wire.udp.add(socket, port: port)
    try tunnel.wire.udp.watch(port: port, tunnel.epoll)
    channels[port] = tunnel.engine.dial(
      slot: slot, tuple: tuple, path: way.datagramPath, into: &tunnel.segments, at: tunnel.now)
    tunnel.log.debug("channel \(tuple) on UDP dialled")
  }

  private func carryingSocket(
    _ way: NextHop, to remote: Endpoint
  ) throws(SystemError) -> DatagramSocket {
    try DatagramSocket(
      carryingAt: Endpoint(way.source, 0), connectedTo: remote, interface: interface,
      mark: configuration.tunnel.mark)
  }

  /// The engine draws the identifier: there is nothing that could hold it.
  private mutating func dialICMP(
    _ slot: Int, _ way: NextHop, _ remote: Endpoint, _ tunnel: inout Tunnel
  ) {
    let tuple = FourTuple(local: Endpoint(way.source, 0), remote: remote)
    let channel = tunnel.engine.dial(
      slot: slot, tuple: tuple, path: way.path, into: &tunnel.segments, at: tunnel.now)
    tunnel.log.debug("channel to \(remote.address) on ICMP dialled")
    tunnel.wire.setHop(way, channel: channel)
  }
}

extension ClientConfiguration {
  /// Whose segments are ours where the server is at this address.
  fileprivate func rules(for server: IPAddress) -> Ruleset.Role {
    .client(server: server, ports: tunnel.ports, protocols: tunnel.carriers.protocols)
  }
}
