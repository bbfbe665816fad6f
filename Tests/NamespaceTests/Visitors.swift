// Clients of one key that do nothing but open a channel, more of them than processes could be started:
// the engine itself, over raw packets, from addresses that no kernel has.

import Crypto
import Engine
import Glibc
import NamespaceSupport
import Wire

/// Makes clients that knock, and forgets them once they have done what they came for.
struct Visitors: ~Copyable {
  private let key: NamedKey
  private let server: Host
  private let injector: Injector
  private var tap: PacketTap
  private var random: SeededRandom
  private var batches = Batches()
  private var waiting: [Endpoint: Visitor] = [:]
  /// How many clients have sent a valid first message.
  private(set) var knocks = 0
  /// How many have confirmed their channel, too.
  private(set) var confirmations = 0

  init(with key: NamedKey, from intruder: Host, to server: Host, seed: UInt64) throws {
    let injector = try Injector(from: intruder)
    let tap = try PacketTap(at: intruder)
    self.key = key
    self.server = server
    self.injector = injector
    self.tap = tap
    random = SeededRandom(seed: seed)
  }

  /// Begins `count` new clients, and goes on with those that the server has answered.
  mutating func proceed(beginning count: Int) throws {
    var packets: [[UInt8]] = []
    for _ in 0..<count {
      let visitor = Visitor(
        key: key, server: server.address, local: .behindIntruder(using: &random),
        // Every other one does not say another word.
        isQuiet: Bool.random(using: &random), seed: random.next())
      waiting[visitor.local] = visitor
      packets += visitor.begin(with: &batches)
    }
    try tap.receive { bytes in
      guard let local = CapturedPacket(parsing: bytes)?.segment?.destination,
        let visitor = waiting[local]
      else { return }
      if !visitor.hasKnocked { knocks += 1 }
      packets += visitor.receive(bytes, with: &batches)
      if visitor.isConnected { confirmations += 1 }
      if visitor.isConnected || visitor.isQuiet { waiting[local] = nil }
    }
    for start in stride(from: 0, to: packets.count, by: 64) {
      try injector.send(Array(packets[start..<min(start + 64, packets.count)]))
    }
  }
}

/// Where packets lie between an engine and the wire.
private struct Batches: ~Copyable {
  var packets = PacketBatch(capacity: 1, slotSize: 2048)
  var datagrams = DatagramBatch(datagrams: 16)
  var segments = SegmentBatch(runs: 16, pieces: 64, arenaSize: 1 << 14)

  /// Takes out what the engine sent.
  mutating func takeSent() -> [[UInt8]] {
    defer { segments.removeAll() }
    return (0..<segments.count).map { index in
      var packet: [UInt8] = []
      for piece in segments[index].pieces {
        let bytes = segments.bytes(of: segments.piece(piece), packets: packets)
        packet += (0..<bytes.byteCount).map { bytes.byte(at: $0) }
      }
      Forgery.complete(&packet)
      return packet
    }
  }
}

/// One client.
private final class Visitor {
  let local: Endpoint
  /// Whether it leaves its channel unconfirmed.
  let isQuiet: Bool
  /// Whether its first message is out.
  private(set) var hasKnocked = false
  /// Whether the server has answered that, and the first frame is out.
  private(set) var isConnected = false
  private var engine: TunnelEngine

  init(key: NamedKey, server: IPAddress, local: Endpoint, isQuiet: Bool, seed: UInt64) {
    self.local = local
    self.isQuiet = isQuiet
    var configuration = EngineConfiguration(
      role: .client(server: server, ports: PortSet([10_001...10_010]), maxChannels: 1))
    configuration.keys = [key]
    engine = TunnelEngine(
      configuration,
      entropy: Entropy(
        secret: SipHashKey(seed, 1), keySeed: SecretKey { $0.set(seed, at: 0) },
        session: SessionID(high: seed, low: 1), seed: seed),
      at: now())
    engine.setClock(wallClock(), at: now())
  }

  /// Its SYN.
  func begin(with batches: inout Batches) -> [[UInt8]] {
    while let event = engine.nextEvent() {
      guard case .dial(let slot, _, let remote) = event else { continue }
      _ = engine.dial(
        slot: slot, tuple: FourTuple(local: local, remote: remote),
        path: Path(mtu: 1500, carriesRuns: false), into: &batches.segments, at: now())
    }
    return batches.takeSent()
  }

  /// What it answers to a packet of the server's.
  func receive(_ packet: RawSpan, with batches: inout Batches) -> [[UInt8]] {
    batches.packets.removeAll()
    batches.packets.append(copying: packet, source: Endpoint(.any, 0))
    engine.decapsulate(
      &batches.packets, into: &batches.datagrams, replies: &batches.segments, at: now())
    batches.datagrams.removeAll()
    while let event = engine.nextEvent() {
      if case .connected = event { isConnected = true }
    }
    // What comes first is the SYN-ACK.
    hasKnocked = true
    return batches.takeSent()
  }
}

/// Milliseconds since 1970.
private func wallClock() -> UInt64 {
  var time = timespec()
  unsafe clock_gettime(CLOCK_REALTIME, &time)
  return UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
}
