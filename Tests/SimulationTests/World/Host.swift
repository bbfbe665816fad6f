// An engine with what its driver would do for it: ports, paths, batches.

import Crypto
import Engine
import Samples
import Wire

/// A datagram that came out of the tunnel.
struct Arrival {
  let flow: Int
  /// The app, on a client.
  let destination: Endpoint
  let payload: [UInt8]
  let time: Instant
}

/// One end of the tunnel.
final class Host {
  private(set) var address: IPAddress
  /// The session of a client.
  let session: SessionID
  private(set) var engine: TunnelEngine
  var path: Path
  /// Whether dials find a way.
  var hasRoute = true
  /// Addresses to which they do not.
  var unreachable: Set<IPAddress> = []
  /// The source ports of which one is drawn for each dial, as the kernel does it; nil: they count up.
  var drawnPorts: ClosedRange<UInt16>?
  /// Whether arrivals are kept.
  var keepsArrivals = true
  private(set) var arrivals: [Arrival] = []
  private(set) var arrivalCount = 0
  private(set) var events: [(time: Instant, event: Event)] = []
  /// The channels that are there, by index.
  private(set) var channels: [Int: FourTuple] = [:]
  private(set) var outgoing: [(packet: Packet, segmentSize: Int)] = []
  private(set) var largestRun = 0

  private var nextPort: UInt16
  private var random: SplitMix64
  private var apps = PacketBatch(capacity: 64, slotSize: 65_536)
  private var received = PacketBatch(capacity: 64, slotSize: 65_536)
  private var datagrams = DatagramBatch(datagrams: 8192, arenaSize: 4 << 20)
  private var slots: [PacketSlot] = []
  private var segments = SegmentBatch(runs: 512, pieces: 8192, arenaSize: 1 << 20)

  init(
    _ configuration: EngineConfiguration, address: IPAddress, secret: UInt64 = 1,
    session: SessionID? = nil, firstPort: UInt16 = 40_000,
    path: Path = Path(mtu: 1500, carriesRuns: true), at now: Instant
  ) {
    var configuration = configuration
    if configuration.keys.isEmpty, let key = Protection.key { configuration.keys = [key] }
    self.address = address
    self.session = session ?? SessionID(high: secret, low: UInt64(address.ipv4))
    self.path = path
    nextPort = firstPort
    random = SplitMix64(seed: secret)
    engine = TunnelEngine(
      configuration,
      entropy: Entropy(
        secret: SipHashKey(secret, ~secret),
        keySeed: SecretKey {
          $0.set(secret, at: 0)
          $0.set(UInt64(address.ipv4), at: 8)
        },
        session: self.session, seed: secret &+ 7),
      at: now)
    setClock(Self.clock, at: now)
    drainEvents(at: now)
  }

  /// What an engine is told of the time on the wall when it starts: a moment in 2026.
  static let clock: UInt64 = 1_790_000_000_000

  /// Sets this host's clock.
  func setClock(_ milliseconds: UInt64, at now: Instant) {
    engine.setClock(milliseconds, at: now)
  }

  /// Gives the engine other keys.
  func setKeys(_ keys: [NamedKey], at now: Instant) {
    engine.setKeys(keys, at: now)
    finish(at: now)
  }

  func takeOutgoing() -> [(packet: Packet, segmentSize: Int)] {
    defer { outgoing.removeAll(keepingCapacity: true) }
    return outgoing
  }

  func takeArrivals() -> [Arrival] {
    defer { arrivals.removeAll() }
    return arrivals
  }

  /// Sends datagrams of one size in one buffer, as UDP_GRO delivers them, or each alone.
  func send(
    _ payloads: [[UInt8]], from source: Endpoint = Endpoint(.any, 1),
    origin: DatagramOrigin = .apps,
    merged: Bool = false, at now: Instant
  ) {
    apps.removeAll()
    if merged, let size = payloads.first?.count {
      let all = Array(payloads.joined())
      precondition(apps.append(copying: all.rawSpan, source: source))
      let slot = PacketSlot(offset: 0, length: all.count, segmentSize: size, source: source)
      apps.removeAll()
      apps.append(slot)
    } else {
      for payload in payloads {
        precondition(apps.append(copying: payload.rawSpan, source: source))
      }
    }
    engine.encapsulate(&apps, from: origin, into: &segments, at: now)
    finish(at: now)
  }

  /// Sends datagrams of several apps that wait together.
  func send(_ datagrams: [(payload: [UInt8], source: Endpoint)], at now: Instant) {
    apps.removeAll()
    for datagram in datagrams {
      precondition(apps.append(copying: datagram.payload.rawSpan, source: datagram.source))
    }
    engine.encapsulate(&apps, from: .apps, into: &segments, at: now)
    finish(at: now)
  }

  func receive(_ packets: [Packet], at now: Instant) {
    for medium in [SegmentMedium.packets, .datagrams] {
      let own = packets.filter { $0.carrier.medium == medium }
      if !own.isEmpty { receive(own, from: medium, at: now) }
    }
  }

  private func receive(_ packets: [Packet], from medium: SegmentMedium, at now: Instant) {
    received.removeAll()
    for (index, packet) in packets.enumerated() {
      precondition(received.append(copying: packet.bytes.rawSpan, source: Endpoint(.any, 0)))
      guard medium == .datagrams else { continue }
      // The kernel takes the headers off.
      slots.append(
        PacketSlot(
          offset: index * received.slotSize + packet.headerLength, length: packet.payloadLength,
          segmentSize: packet.segmentSize, source: packet.source, destination: packet.destination))
    }
    if medium == .datagrams {
      received.removeAll()
      for slot in slots { received.append(slot) }
      slots.removeAll()
    }
    engine.decapsulate(&received, from: medium, into: &datagrams, replies: &segments, at: now)
    for index in 0..<datagrams.count { collect(datagrams[index], at: now) }
    datagrams.removeAll()
    finish(at: now)
  }

  private func collect(_ run: DatagramRun, at now: Instant) {
    arrivalCount += run.pieces.count
    guard keepsArrivals else { return }
    for index in run.pieces {
      let bytes = datagrams.bytes(of: datagrams.piece(index), packets: received)
      arrivals.append(
        Arrival(
          flow: run.flow, destination: run.destination,
          payload: array(bytes), time: now))
    }
  }

  func advance(to now: Instant) {
    engine.advance(to: now, into: &segments)
    finish(at: now)
  }

  /// ICMP says that nothing listens where a channel on UDP sends to.
  func refuse(channel: Int, at now: Instant) {
    engine.noteRefusal(channel: channel, into: &segments, at: now)
    finish(at: now)
  }

  func networkChanged(at now: Instant) {
    let left = channels.filter { $0.value.local.address != address }.keys
    engine.networkChanged(leaving: Array(left), at: now)
    finish(at: now)
  }

  /// The host has another address; what it sends from the one before is lost.
  func move(to address: IPAddress, at now: Instant) {
    self.address = address
    networkChanged(at: now)
  }

  /// Tells the engine the server's addresses.
  func setServers(_ addresses: [IPAddress], at now: Instant) {
    engine.setServers(addresses, at: now)
    finish(at: now)
  }

  func reconnect(at now: Instant) {
    engine.reconnect(at: now)
    finish(at: now)
  }

  func close(at now: Instant) {
    engine.close(at: now, into: &segments)
    finish(at: now)
  }

  func welcome(_ stranger: Stranger, at now: Instant) {
    engine.welcome(stranger, into: &segments)
    finish(at: now)
  }

  func turnAway(_ stranger: Stranger, at now: Instant) {
    engine.turnAway(stranger, into: &segments)
    finish(at: now)
  }

  func forget(_ tuple: FourTuple) { engine.forget(tuple) }

  /// Tells the engine a new path for all channels, and uses it for later ones.
  func setPath(_ path: Path, at now: Instant) {
    self.path = path
    for index in channels.keys { engine.setPath(path, channel: index, at: now) }
  }

  private func finish(at now: Instant) {
    collectSegments()
    drainEvents(at: now)
  }

  private func collectSegments() {
    segments.completeChecksums(packets: apps)
    for index in 0..<segments.count {
      let run = segments[index]
      var packet = Packet(bytes: [])
      packet.bytes.reserveCapacity(run.payloadLength + 60)
      for piece in run.pieces {
        packet.append(segments.bytes(of: segments.piece(piece), packets: apps))
      }
      largestRun = max(largestRun, run.segmentCount)
      if let path = run.datagramPath {
        packet = .datagram(from: path.local, to: path.remote, packet.bytes)
      } else if run.isTCP {
        packet.complete()
      }
      outgoing.append((packet, run.segmentCount > 1 ? run.segmentSize : 0))
    }
    segments.removeAll()
  }

  private func drainEvents(at now: Instant) {
    while let event = engine.nextEvent() {
      events.append((now, event))
      switch event {
      case .dial(let slot, _, let remote): dial(slot, remote, at: now)
      case .channelOpened(let channel, let tuple):
        channels[channel] = tuple
        engine.setPath(path, channel: channel, at: now)
      case .channelMoved(let channel, let tuple): channels[channel] = tuple
      case .channelClosed(let channel, _): channels[channel] = nil
      case .flowClosed, .connected, .disconnected, .unanswered, .sessionEnded, .versionMismatch,
        .cipherMismatch, .largestDatagram, .stranger, .serverAnswered, .proxied,
        .moreChannels:
        break
      }
    }
  }

  private func dial(_ slot: Int, _ remote: Endpoint, at now: Instant) {
    guard hasRoute, !unreachable.contains(remote.address) else {
      return engine.dialFailed(slot: slot, at: now)
    }
    let tuple = tuple(to: remote)
    let channel = engine.dial(slot: slot, tuple: tuple, path: path, into: &segments, at: now)
    channels[channel] = engine.channelTuples.first { $0.channel == channel }?.tuple
    collectSegments()
  }

  private func tuple(to remote: Endpoint) -> FourTuple {
    guard let drawnPorts else {
      defer { nextPort = nextPort == .max ? 32_768 : nextPort + 1 }
      return FourTuple(local: Endpoint(address, nextPort), remote: remote)
    }
    var tuple: FourTuple
    repeat {
      let port = UInt16.random(in: drawnPorts, using: &random)
      tuple = FourTuple(local: Endpoint(address, port), remote: remote)
    } while !engine.isFresh(tuple)
    return tuple
  }

  // What tests ask of the engine, which `#expect` cannot copy.
  var counters: Counters { engine.counters }
  var nextDeadline: Instant { engine.nextDeadline }
  var isClosed: Bool { engine.isClosed }
  func carrier(channel: Int) -> Carrier? { engine.carrier(channel: channel) }
  /// The one session that there is.
  func session(at now: Instant) -> SessionStatus? {
    engine.sessionStatus(from: 0, at: now)?.session
  }

  func count(_ isCounted: (Event) -> Bool) -> Int { events.count { isCounted($0.event) } }
}
