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
  if let limit = apps.receiveBufferLimit { log.warning("datagrams from apps: \(limit)") }
  if let limit = apps.sendBufferLimit { log.warning("datagrams to apps: \(limit)") }
  let ruleset = start.ruleset(.client(server: configuration.server, ports: tunnel.ports))
  var engine = EngineConfiguration(
    role: .client(
      server: configuration.server, ports: tunnel.ports, maxChannels: configuration.maxChannels))
  engine.idleTimeout = tunnel.idleTimeout
  engine.initialSequence = configuration.initialSequence
  if let keepalive = tunnel.keepalive { engine.keepalive = min(keepalive, engine.keepalive) }
  // CAP_NET_ADMIN adds each channel's port to the ruleset, and where the kernel asks for it, a filter
  // to the channel's guard.
  try start.run(
    engine, ClientRole(configuration: configuration, ruleset: ruleset, apps: apps),
    keeping: .netAdmin,
    greeting:
      "client ready: apps send to \(configuration.listen), the server is \(configuration.server)",
    process: &process)
}

/// What a client adds to the loop.
struct ClientRole: TunnelRole, ~Copyable {
  private let configuration: ClientConfiguration
  private var ruleset: Ruleset?
  private let apps: DatagramSocket
  private var guards = PlaceTable<GuardSocket>()
  private var lastFailure: SystemError?

  init(
    configuration: ClientConfiguration, ruleset: consuming Ruleset?, apps: consuming DatagramSocket
  ) {
    self.configuration = configuration
    self.ruleset = ruleset
    self.apps = apps
  }

  func filter(addresses: [IPAddress]) throws(SystemError) -> SocketFilter {
    let local = configuration.tunnel.localAddress.map { [$0] } ?? addresses
    return try TunnelFilter.client(
      server: configuration.server, ports: configuration.tunnel.ports, addresses: local)
  }

  mutating func begin(_ tunnel: inout Tunnel) throws(SystemError) {
    try ruleset?.watch(tunnel.epoll)
    try tunnel.epoll.add(apps.descriptor.rawValue, token: Token.firstOfRole)
  }

  var nextDeadline: Instant { .distantFuture }

  mutating func advance(_ tunnel: inout Tunnel) {}

  mutating func networkChanged(_ tunnel: inout Tunnel) {
    tunnel.engine.networkChanged(at: tunnel.now)
  }

  mutating func receive(token: UInt64, _ tunnel: inout Tunnel) {
    if token == Token.ruleset { return ruleset?.repair(tunnel.log) ?? () }
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
    case .dial(let slot, let remote): dial(slot, remote, &tunnel)
    case .channelClosed(let channel, let tuple):
      tunnel.log.debug("channel \(tuple) closed")
      tunnel.wire.setHop(nil, channel: channel)
      try? ruleset?.remove(localPort: tuple.local.port)
      guards[channel] = nil
    default: tunnel.logEvent(event, peer: "the server \(configuration.server)")
    }
  }

  /// Opens a channel: the route gives the source address, the guard socket the source port.
  private mutating func dial(_ slot: Int, _ remote: Endpoint, _ tunnel: inout Tunnel) {
    do throws(SystemError) {
      let wanted = Endpoint(configuration.tunnel.localAddress ?? .any, 0)
      let way = try tunnel.nextHops.find(FourTuple(local: wanted, remote: remote))
      let guarded = try GuardSocket(at: Endpoint(way.source, 0))
      let tuple = FourTuple(local: guarded.endpoint, remote: remote)
      try ruleset?.add(localPort: tuple.local.port)
      let channel = tunnel.engine.dial(
        slot: slot, tuple: tuple, path: way.path, into: &tunnel.segments, at: tunnel.now)
      tunnel.log.debug("channel \(tuple) dialled")
      guards[channel] = Place(guarded)
      // Once more with the port, which policy rules and multiple paths may look at.
      tunnel.route(channel, tuple)
      lastFailure = nil
    } catch {
      tunnel.engine.dialFailed(slot: slot, at: tunnel.now)
      if error != lastFailure { tunnel.log.warning("cannot dial \(remote): \(error)") }
      lastFailure = error
    }
  }
}
