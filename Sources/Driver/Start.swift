// What both roles do to start: capabilities, device, ruleset, sockets. Whatever fails ends the
// start with one sentence, and nothing is left behind: all of it closes itself.

import Crypto
import Engine
import Glibc
import Kernel
import Logging
import Wire

/// What a role starts from.
struct Start: ~Copyable {
  let configuration: TunnelConfiguration
  /// The keys until the engine has them.
  private let keys: Place<[NamedKey]>
  let capabilities: CapabilitySet
  let device: Link?
  let nextHops: NextHops
  let network: NetworkEvents
  let signals: SignalSource
  let log: Logger

  init(_ configuration: TunnelConfiguration, log: Logger) throws(StartError) {
    let keys = try configuration.keys.load()
    let device = try Self.device(configuration.device)
    do throws(SystemError) {
      let capabilities = try Capabilities.raisePermitted()
      _ = try Descriptor.raiseLimit()
      let signals = try SignalSource()
      // Subscribed before the state is read, so that no change is missed.
      let network = try NetworkEvents()
      if configuration.mark != nil, !capabilities.contains(.netAdmin) {
        throw SystemError(
          call: "--mark: mark packets", code: EPERM,
          remedy: Capabilities.missingRemedy(for: .netAdmin))
      }
      nextHops = try NextHops(
        device: device, transmit: configuration.transmit, mark: configuration.mark)
      self.network = network
      self.signals = signals
      self.capabilities = capabilities
    } catch { throw StartError(error) }
    self.keys = Place(keys)
    self.device = device
    self.configuration = configuration
    self.log = log
  }

  /// Whether some channels have packets of our own, which is what takes capabilities.
  var hasPackets: Bool { !configuration.carriers.protocols.isEmpty }

  /// Says that a socket's buffer is smaller than wanted.
  func report(_ limit: BufferLimit?, _ what: String) {
    guard let limit else { return }
    log.warning("\(what): \(hasPackets ? limit.description : limit.remedy)")
  }

  /// Throws where `--lcapIp` is not an address of this machine, or of the device.
  func checkLocalAddress() throws(StartError) {
    guard let local = configuration.localAddress, nextHops.addresses[local] == nil else { return }
    let addresses = nextHops.addresses.keys.map(\.description)
    throw StartError(
      .usage,
      "--lcapIp: \(local) is no address of \(configuration.device ?? "this machine"): "
        + "use one of \(Self.list(addresses))")
  }

  /// The device that `--dev` names.
  private static func device(_ name: String?) throws(StartError) -> Link? {
    guard let name else { return nil }
    let links: [Link]
    do throws(SystemError) { links = try Links.all(try NetlinkSocket()) } catch {
      throw StartError(error)
    }
    guard let link = links.first(where: { $0.name == name }) else {
      throw StartError(
        .usage,
        "--dev: \"\(name)\" is no network device of this machine: "
          + "use one of \(list(links.map(\.name)))")
    }
    guard link.isBridgePort else { return link }
    let bridge = links.first { $0.index == link.master }?.name ?? "its bridge"
    throw StartError(
      .usage,
      "--dev: \"\(name)\" is a port of the bridge \(bridge), where packets for this machine "
        + "never arrive: use --dev=\(bridge)")
  }

  private static func list(_ names: [String]) -> String { names.sorted().joined(separator: ", ") }

  /// Throws where so many ports need our table, and it cannot be had.
  func checkRules(for ports: PortSet) throws(StartError) {
    guard !capabilities.contains(.netAdmin) else { return }
    throw StartError(
      .permission,
      """
      --ports: \(ports.count) ports are held by firewall rules, which takes CAP_NET_ADMIN; without it at most \
      \(TunnelConfiguration.mostHeldPorts) are held, by sockets. \
      \(Capabilities.missingRemedy(for: .netAdmin))
      """)
  }

  /// Our nftables table, where it is wanted and can be had: packets of our own need one, and more ports than
  /// sockets hold, which cannot do without.
  func ruleset(_ role: Ruleset.Role) throws(StartError) -> Ruleset? {
    if role.isHeldByRules {
      do throws(SystemError) { return try Ruleset(role: role) } catch { throw StartError(error) }
    }
    guard hasPackets, configuration.firewall == .auto else { return nil }
    let isGuarded = configuration.carriers.contains(.tcp)
    guard capabilities.contains(.netAdmin) else {
      log.warning(
        isGuarded
          ? "without CAP_NET_ADMIN there are no firewall rules: guard sockets alone keep the kernel quiet"
          : "without CAP_NET_ADMIN there are no firewall rules")
      return nil
    }
    do throws(SystemError) { return try Ruleset(role: role) } catch {
      log.warning(
        isGuarded
          ? "no firewall rules, guard sockets alone keep the kernel quiet: \(error)"
          : "no firewall rules: \(error)")
      return nil
    }
  }
}

extension Start {
  /// Opens the sockets to the wire, gives up what is not needed any more, and runs the role until
  /// it is told to stop.
  consuming func run(
    _ engine: EngineConfiguration, _ role: consuming some TunnelRole & ~Copyable,
    _ families: [AddressFamily], udp: consuming UDPSockets = UDPSockets(),
    keeping needed: CapabilitySet, decoyPorts: PortSet? = nil, greeting: Logger.Message,
    process: inout ProcessSetup
  ) throws(StartError) {
    let control = try process.openControl()
    do throws(SystemError) {
      let ipv4 = try packetWire(.ipv4, of: families, for: role)
      let ipv6 = try packetWire(.ipv6, of: families, for: role)
      // What CAP_NET_RAW and CAP_NET_BIND_SERVICE are for is open by now: packet and raw sockets,
      // and guards on ports below 1024. No call on an open socket asks for them again.
      try Capabilities.keep(only: needed.intersection(capabilities))
      try Capabilities.forbidNewPrivileges()
      let log = log
      let now = BootClock.now()
      var tunnel = Tunnel(
        engine: makeEngine(engine, at: now),
        wire: WireSockets(
          ipv4: ipv4, ipv6: ipv6, udp: udp, transmit: configuration.transmit, log: log),
        nextHops: nextHops,
        epoll: try Epoll(), now: now, loopWatch: LoopWatch(at: now), keySource: configuration.keys,
        clockOffset: configuration.clockOffset, log: log)
      tunnel.readClock()
      try role.begin(&tunnel)
      var loop = try EventLoop(
        signals: signals, network: network, control: control, for: tunnel)
      try process.confine(reading: configuration.keys.readPaths, decoyPorts: decoyPorts)
      process.ready()
      log.notice(greeting)
      try loop.run(&tunnel, &role, process)
      tunnel.reportTotals()
    } catch { throw StartError(error) }
  }

  /// The engine, which alone has the keys from now on: once they are replaced they are nowhere.
  private func makeEngine(_ engine: EngineConfiguration, at now: Instant) -> TunnelEngine {
    var engine = engine
    swap(&engine.keys, &keys.value)
    engine.cipher = configuration.cipher
    engine.limits = configuration.limits
    engine.carriers = configuration.carriers
    return TunnelEngine(engine, entropy: .drawn(), at: now)
  }
}

extension Start {
  /// The sockets for packets of our own of a family; nil where no channel has such.
  private borrowing func packetWire(
    _ family: AddressFamily, of families: [AddressFamily],
    for role: borrowing some TunnelRole & ~Copyable
  ) throws(SystemError) -> PacketWire? {
    guard hasPackets, families.contains(family) else { return nil }
    let filter = try role.filter(family, addresses: Array(nextHops.addresses.keys))
    let packet = try PacketSocket(
      filter: filter, family: family, interface: device?.index ?? 0, mark: configuration.mark)
    let raw = try RawSocket(family: family, interface: device?.index, mark: configuration.mark)
    // The buffers of both are alike.
    if family == families.first {
      report(packet.receiveBufferLimit, "packets from the wire")
      report(packet.sendBufferLimit, "packets to the wire")
    }
    return PacketWire(packet: packet, raw: raw)
  }
}

extension Entropy {
  /// Entropy from the kernel.
  fileprivate static func drawn() -> Entropy {
    var source = SystemRandom()
    return Entropy(
      secret: SipHashKey(source.next(), source.next()),
      keySeed: SecretKey { source.fill(&$0) },
      session: SessionID(high: source.next(), low: source.next()), seed: source.next())
  }
}

extension Tunnel {
  /// Says in the log what there was, and what was dropped and why.
  fileprivate mutating func reportTotals() {
    let counters = engine.counters
    var drops = counters.dropped.map { "\($0.reason) \($0.count)" }
    if wire.lost > 0 { drops.append("not sent \(wire.lost)") }
    if undelivered > 0 { drops.append("not delivered \(undelivered)") }
    let missed = wire.missed()
    if missed > 0 { drops.append("not received \(missed)") }
    log.notice(
      """
      stopped: \(counters.datagramsSent) datagrams sent, \(counters.datagramsReceived) received, \
      \(counters.channelsOpened) channels opened, \
      dropped: \(drops.isEmpty ? "none" : drops.joined(separator: ", "))
      """)
  }
}
