// The server's half of the loop: a socket to the target for each flow.

import Engine
import Glibc
import Kernel
import Logging
import Wire

/// Runs a server until a signal stops it.
func runServer(
  _ configuration: ServerConfiguration, log: Logger, process: inout ProcessSetup
) throws(StartError) {
  var configuration = configuration
  let start = try Start(configuration.tunnel, log: log)
  try start.checkLocalAddress()
  let hasDecoy = configuration.decoy != nil
  if hasDecoy { try checkDecoy() }
  let isHeldByRules = configuration.tunnel.isHeldByRules
  if isHeldByRules { try start.prepareRange(&configuration.tunnel.ports) }
  let tunnel = configuration.tunnel
  let families = servedFamilies(tunnel, log: log)
  let udp = try udpSockets(of: tunnel, families, start, isOneEnough: isHeldByRules)
  let ruleset = try start.ruleset(
    .server(
      ports: tunnel.ports, hasDecoy: hasDecoy, protocols: tunnel.carriers.protocols,
      holding: isHeldByRules ? .rules(datagramPort: udp.firstPort) : .sockets))
  if ruleset == nil { start.warnOfEchoes() }
  // A decoy's connections take the ports themselves.
  let guards =
    tunnel.carriers.contains(.tcp) && !isHeldByRules
    ? try guardPorts(of: tunnel, families, isOptional: ruleset != nil && !hasDecoy, log: log) : []
  var engine = EngineConfiguration(role: .server(ports: tunnel.ports))
  engine.ownsPorts = !isHeldByRules
  engine.idleTimeout = tunnel.idleTimeout
  engine.hasDecoy = hasDecoy
  let decoy = configuration.decoy.map {
    Decoy(service: $0, interface: start.device?.index, mark: tunnel.mark)
  }
  let role = ServerRole(
    configuration: configuration, ruleset: ruleset, guards: guards, decoy: decoy)
  // CAP_NET_ADMIN makes the buffers of each flow's socket large, past the sysctl's bound, and makes
  // the ruleset again where somebody removed it. A decoy takes over connections by it, on ports below
  // 1024 by CAP_NET_BIND_SERVICE.
  try start.run(
    engine, role, families, udp: udp,
    keeping: hasDecoy ? [.netAdmin, .netBindService] : .netAdmin,
    decoyPorts: hasDecoy ? tunnel.ports : nil,
    greeting:
      "server ready: \(tunnel.places), datagrams go to \(configuration.targetText)",
    process: &process)
}

extension Start {
  /// For more ports than sockets hold: leaves those to other programs at which they listen.
  fileprivate func prepareRange(_ ports: inout PortSet) throws(StartError) {
    try checkRules(for: ports)
    guard configuration.carriers.contains(.tcp) else { return }
    do throws(SystemError) {
      let rest = ports.subtracting(try ListeningPorts.all())
      guard rest != ports, rest.count > 0 else { return }
      log.notice(
        "other programs listen at \(ports.count - rest.count) of the ports, which stay theirs")
      ports = rest
    } catch { log.debug("\(error)") }
  }

  /// Says that the kernel answers clients' requests too, where nothing keeps it from that.
  fileprivate func warnOfEchoes() {
    guard configuration.carriers.contains(.icmp), !EchoSettings.areIgnored else { return }
    log.warning(
      """
      the kernel answers each ICMP request too, and sends the client its own data back: \
      load the rules of rsock rules server, or set \(EchoSettings.remedy)
      """)
  }
}

extension TunnelConfiguration {
  /// Where a server takes clients in.
  fileprivate var places: String {
    let served = carriers.filter(\.hasPorts)
    let others = carriers.filter { !$0.hasPorts }
    let parts = [
      served.isEmpty ? nil : "\(served.names) ports \(ports)",
      others.isEmpty ? nil : others.names,
    ]
    return parts.compactMap { $0 }.joined(separator: ", ")
  }
}

/// Whom a server serves: clients of both families, where the kernel has both.
private func servedFamilies(_ tunnel: TunnelConfiguration, log: Logger) -> [AddressFamily] {
  if let local = tunnel.localAddress { return [local.family] }
  guard AddressFamily.ipv6.isAvailable else {
    log.info("clients of IPv4 only: the kernel has no IPv6")
    return [.ipv4]
  }
  return [.ipv4, .ipv6]
}

/// Throws where the kernel does not let this process show strangers a decoy.
private func checkDecoy() throws(StartError) {
  do throws(SystemError) { try StreamSocket.checkRepair() } catch {
    throw StartError(
      SystemError(call: "--decoy: \(error.call)", code: error.code, remedy: error.remedy))
  }
}

/// A socket for channels on UDP at each port, where there are such; where one is enough, at the first that is
/// free.
private func udpSockets(
  of tunnel: TunnelConfiguration, _ families: [AddressFamily], _ start: borrowing Start,
  isOneEnough: Bool
) throws(StartError) -> UDPSockets {
  var sockets = UDPSockets()
  guard tunnel.carriers.contains(.udp) else { return sockets }
  // The wildcard of IPv6 takes in both families.
  let local = tunnel.localAddress ?? .any(families.contains(.ipv6) ? .ipv6 : .ipv4)
  let last = tunnel.ports[tunnel.ports.count - 1]
  var hasReported = false
  for port in tunnel.ports.ranges.joined() {
    do throws(SystemError) {
      let socket = try DatagramSocket(
        carryingAt: Endpoint(local, port), interface: start.device?.index, mark: tunnel.mark)
      if !hasReported {
        start.report(socket.receiveBufferLimit, "datagrams from clients")
        start.report(socket.sendBufferLimit, "datagrams to clients")
        hasReported = true
      }
      sockets.add(socket, port: port)
      if isOneEnough { break }
    } catch {
      let isTaken = error.code == EADDRINUSE || error.code == EACCES
      guard isOneEnough, isTaken, port != last else { throw StartError(error) }
    }
  }
  return sockets
}

/// Holds every port. Where that is optional, one that needs a capability that is missing is left to the
/// ruleset.
private func guardPorts(
  of tunnel: TunnelConfiguration, _ families: [AddressFamily], isOptional: Bool, log: Logger
) throws(StartError) -> [Place<GuardSocket>] {
  var guards: [Place<GuardSocket>] = []
  var unguarded: [UInt16] = []
  for port in tunnel.ports.ranges.joined() {
    do throws(SystemError) {
      for family in families {
        let endpoint = Endpoint(tunnel.localAddress ?? .any(family), port)
        guards.append(Place(try GuardSocket(at: endpoint)))
      }
    } catch {
      guard error.code == EACCES, isOptional else { throw StartError(error) }
      unguarded.append(port)
    }
  }
  if let port = unguarded.first {
    let others = unguarded.count > 1 ? " and others" : ""
    log.warning(
      "firewall rules alone hold port \(port)\(others): CAP_NET_BIND_SERVICE is missing")
  }
  return guards
}

/// What a server adds to the loop.
struct ServerRole: TunnelRole, ~Copyable {
  private let configuration: ServerConfiguration
  private var ruleset: Ruleset?
  private var decoy: Decoy?
  /// The app that new flows get; the address is the wildcard while it is not known.
  private var target: Endpoint
  /// Follows the target's name, where it has one.
  private var name: NamedAddress?
  private let guards: [Place<GuardSocket>]
  private var targets = PlaceTable<DatagramSocket>()
  /// Whether the target has sent anything since it is at its address.
  private var isTargetHeard = false
  /// Which of the target's addresses refused datagrams since then.
  private var refusing: Set<IPAddress> = []
  private var hasReportedTarget = false
  private var hasReportedRefusal = false
  private var hasReportedBuffers = false

  init(
    configuration: ServerConfiguration, ruleset: consuming Ruleset?,
    guards: [Place<GuardSocket>], decoy: consuming Decoy?
  ) {
    self.configuration = configuration
    self.ruleset = ruleset
    self.decoy = decoy
    target = configuration.target
    self.guards = guards
  }

  func filter(
    _ family: AddressFamily, addresses: [IPAddress]
  ) throws(SystemError) -> SocketFilter {
    let local = configuration.tunnel.localAddress.map { [$0] } ?? addresses
    return try TunnelFilter.server(
      ports: configuration.tunnel.ports, addresses: local, family: family,
      protocols: configuration.tunnel.carriers.protocols)
  }

  mutating func begin(_ tunnel: inout Tunnel) throws(SystemError) {
    try ruleset?.watch(tunnel.epoll)
    networkChanged(&tunnel)
    guard let targetName = configuration.targetName else { return }
    let families = AddressFamily.allCases.filter(\.isAvailable)
    let name = try NamedAddress(targetName, families: families, at: tunnel.now)
    try name.watch(tunnel.epoll)
    self.name = consume name
  }

  mutating func heedRefusals(_ tunnel: inout Tunnel) {
    // Its sockets are not connected, so the kernel tells them nothing.
  }

  mutating func networkChanged(_ tunnel: inout Tunnel) {
    tunnel.engine.setInterfaceMTUs(tunnel.nextHops.addresses)
  }

  mutating func receive(token: UInt64, _ tunnel: inout Tunnel) {
    if token == Token.ruleset { return ruleset?.repair(tunnel.log) ?? () }
    if token == Token.resolver {
      if name?.receive(tunnel) == true, let address = name?.current { move(to: address) }
      return
    }
    if token >= Token.firstOfDecoy {
      decoy?.receive(token: token, &ruleset, &tunnel)
      return
    }
    let flow = Int(token - Token.firstOfRole)
    guard let target = targets[flow] else { return }
    let refusals = tunnel.messages.refusals
    if tunnel.encapsulate(from: target.value, .flow(flow)) { isTargetHeard = true }
    if tunnel.messages.refusals != refusals { noteRefusal(flow, tunnel) }
  }

  /// The target's host says that nothing listens. Its name may have another address where something
  /// does, such as `localhost`, which is ::1 and 127.0.0.1.
  private mutating func noteRefusal(_ flow: Int, _ tunnel: borrowing Tunnel) {
    guard let address = targets[flow]?.value.peer?.address else { return }
    guard address == target.address else {
      // The target is elsewhere by now; the flow follows with its next datagram.
      targets[flow] = nil
      return
    }
    refusing.insert(address)
    if !isTargetHeard, let next = name?.useNext() {
      target.address = next
      targets[flow] = nil
      if !refusing.contains(next) {
        return tunnel.log.info("\(configuration.targetText): refused, trying \(next)")
      }
    }
    guard !hasReportedRefusal else { return }
    hasReportedRefusal = true
    tunnel.log.warning(
      "\(configuration.targetText) refuses datagrams: is the app that --taddr names running?")
  }

  private mutating func move(to address: IPAddress) {
    guard address != target.address else { return }
    target.address = address
    isTargetHeard = false
    refusing.removeAll()
  }

  var places: ProgramStatus.Places {
    ProgramStatus.Places(
      taddr: configuration.targetText, address: isTargetKnown ? "\(target)" : nil, listen: nil,
      ports: configuration.tunnel.ports)
  }

  var nextDeadline: Instant {
    let decoyDeadline =
      switch decoy {
      case .some(let decoy): decoy.nextDeadline
      case nil: Instant.distantFuture
      }
    return switch name {
    case .some(let name): min(decoyDeadline, name.nextDeadline)
    case nil: decoyDeadline
    }
  }

  mutating func advance(_ tunnel: inout Tunnel) {
    decoy?.advance(&ruleset, &tunnel)
    name?.advance(tunnel)
  }

  private var isTargetKnown: Bool { target.address != .any }

  mutating func deliver(_ tunnel: inout Tunnel) {
    var start = 0
    while start < tunnel.deliveries.count {
      let flow = tunnel.deliveries[start].flow
      var end = start + 1
      while end < tunnel.deliveries.count, tunnel.deliveries[end].flow == flow { end += 1 }
      deliver(start..<end, of: flow, &tunnel)
      start = end
    }
  }

  private mutating func deliver(_ runs: Range<Int>, of flow: Int, _ tunnel: inout Tunnel) {
    guard let target = targets[flow] ?? open(flow, tunnel) else {
      for run in runs { tunnel.undelivered += tunnel.deliveries[run].pieces.count }
      return
    }
    let refusals = tunnel.messages.refusals
    let result = target.value.send(
      tunnel.deliveries, runs: runs, payloads: tunnel.packets, using: &tunnel.messages)
    tunnel.undelivered += result.lost
    if tunnel.messages.refusals != refusals { noteRefusal(flow, tunnel) }
  }

  /// Opens the flow's socket to the target.
  private mutating func open(_ flow: Int, _ tunnel: borrowing Tunnel) -> Place<DatagramSocket>? {
    guard isTargetKnown else { return nil }
    do throws(SystemError) {
      let target = Place(try DatagramSocket(connectedTo: target))
      let token = Token.firstOfRole + UInt64(flow)
      try tunnel.epoll.add(target.value.descriptor.rawValue, token: token)
      reportBuffers(of: target.value, tunnel.log)
      targets[flow] = target
      return target
    } catch {
      if !hasReportedTarget { tunnel.log.error("\(error)") }
      hasReportedTarget = true
      return nil
    }
  }

  /// Says once where buffers are smaller than wanted: it is the same for every socket.
  private mutating func reportBuffers(of target: borrowing DatagramSocket, _ log: Logger) {
    guard !hasReportedBuffers else { return }
    hasReportedBuffers = true
    let hasPackets = !configuration.tunnel.carriers.protocols.isEmpty
    if let limit = target.receiveBufferLimit {
      log.warning("datagrams from the target: \(hasPackets ? limit.description : limit.remedy)")
    }
    if let limit = target.sendBufferLimit {
      log.warning("datagrams to the target: \(hasPackets ? limit.description : limit.remedy)")
    }
  }

  mutating func handle(_ event: Event, _ tunnel: inout Tunnel) {
    switch event {
    case .channelOpened(let channel, let tuple):
      tunnel.log.debug("channel \(tuple) opened")
      tunnel.route(channel, tuple)
    case .channelClosed(let channel, let tuple):
      tunnel.log.debug("channel \(tuple) closed")
      tunnel.wire.setHop(nil, channel: channel)
    case .channelMoved(let channel, let tuple):
      tunnel.log.debug("channel is \(tuple) now")
      tunnel.route(channel, tuple)
    case .flowClosed(let flow): targets[flow] = nil
    case .stranger(let stranger): decoy?.show(stranger, through: &ruleset, &tunnel)
    default: tunnel.logEvent(event, peer: "a client")
    }
  }
}
