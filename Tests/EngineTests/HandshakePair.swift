import Crypto
import Samples
import Wire

@testable import Engine

/// A client and a server, and each packet between them in the test's hands.
struct HandshakePair: ~Copyable {
  static let serverEndpoint = Endpoint(IPAddress(ipv4: 0xC000_0201), 443)
  static let clientEndpoint = Endpoint(IPAddress(ipv4: 0xC000_0202), 40_000)
  /// An autumn day in 2026.
  static let time: UInt64 = 1_790_000_000_000

  private var client: TunnelEngine
  private var server: TunnelEngine
  private let now = Instant(nanoseconds: 1_000_000_000_000)
  private var segments = SegmentBatch(runs: 64, pieces: 256, arenaSize: 1 << 16)
  private var packets = PacketBatch(capacity: 1, slotSize: 4096)
  private var datagrams = DatagramBatch(datagrams: 64)

  /// What differs between tests.
  struct Setup {
    var clientKey = HandshakePair.key(1)
    var serverKeys = [HandshakePair.key(1)]
    var clientHasFastAES = true
    var serverHasFastAES = true
    var clientSeed: UInt64 = 6
  }

  static func key(_ number: UInt64, name: String? = nil) -> NamedKey {
    NamedKey(name: name ?? "client-\(number)", key: SecretKey { $0.set(number, at: 0) })
  }

  /// A key that is one byte all over.
  static func uniform(_ byte: UInt8) -> SecretKey {
    SecretKey { for offset in 0..<SecretKey.byteCount { $0.set(byte, at: offset) } }
  }

  init(_ setup: Setup = Setup()) {
    let ports = PortSet([443...443])
    var serving = EngineConfiguration(role: .server(ports: ports))
    serving.keys = setup.serverKeys
    serving.hasFastAES = setup.serverHasFastAES
    var dialling = EngineConfiguration(
      role: .client(server: Self.serverEndpoint.address, ports: ports, maxChannels: 16))
    dialling.keys = [setup.clientKey]
    dialling.hasFastAES = setup.clientHasFastAES
    dialling.initialSequence = 1000
    let session = SessionID(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF)
    server = TunnelEngine(
      serving,
      entropy: Entropy(
        secret: SipHashKey(1, 2), keySeed: Self.uniform(0x22), session: session, seed: 5),
      at: now)
    client = TunnelEngine(
      dialling,
      entropy: Entropy(
        secret: SipHashKey(3, 4), keySeed: Self.uniform(0x11), session: session,
        seed: setup.clientSeed),
      at: now)
    server.setClock(Self.time, at: now)
    client.setClock(Self.time, at: now)
  }

  /// Exchanges SYN and SYN-ACK: the latter, and the first message that the client sends then. Empty
  /// where there is none.
  mutating func exchangeSYNs() -> (synAck: [UInt8], message: [UInt8]) {
    while let event = client.nextEvent() {
      guard case .dial(let slot, _, let remote) = event else { continue }
      _ = client.dial(
        slot: slot, tuple: FourTuple(local: Self.clientEndpoint, remote: remote),
        path: Path(mtu: 1500, carriesRuns: true), into: &segments, at: now)
    }
    let synAck = serverReceives(takePackets().first ?? []).first ?? []
    // The acknowledgment comes first.
    let message = clientReceives(synAck).dropFirst().first ?? []
    return (synAck, message)
  }

  /// All of an opening: how many channels are open at the client then, and how many at the server.
  mutating func open() -> (client: UInt64, server: UInt64) {
    for answer in serverReceives(exchangeSYNs().message) {
      for reply in clientReceives(answer) { _ = serverReceives(reply) }
    }
    return channelsOpened
  }

  /// Gives the client a packet: what it answers.
  mutating func clientReceives(_ packet: [UInt8]) -> [[UInt8]] {
    load(packet)
    client.decapsulate(&packets, into: &datagrams, replies: &segments, at: now)
    return takePackets()
  }

  /// Gives the server a packet: what it answers.
  mutating func serverReceives(_ packet: [UInt8]) -> [[UInt8]] {
    load(packet)
    server.decapsulate(&packets, into: &datagrams, replies: &segments, at: now)
    while server.nextEvent() != nil {}
    return takePackets()
  }

  private mutating func load(_ packet: [UInt8]) {
    datagrams.removeAll()
    packets.removeAll()
    packets.append(copying: packet.rawSpan, source: Endpoint(.any, 0))
    // The same bytes, trusted: their checksum is one for offload to complete.
    packets.removeAll()
    packets.append(PacketSlot(offset: 0, length: packet.count, isChecksumTrusted: true))
  }

  private mutating func takePackets() -> [[UInt8]] {
    let taken = (0..<segments.count).map { index in
      segments[index].pieces.flatMap {
        [UInt8](copying: segments.bytes(of: segments.piece($0), packets: packets))
      }
    }
    segments.removeAll()
    return taken
  }

  /// How many channels were opened at each end.
  var channelsOpened: (client: UInt64, server: UInt64) {
    (client.counters.channelsOpened, server.counters.channelsOpened)
  }
}

/// An IPv4 packet with a TCP segment.
extension [UInt8] {
  /// The segment's flags.
  var tcpFlags: TCPFlags { TCPFlags(rawValue: count > 33 ? self[33] : 0) }
  /// Its sequence number.
  var tcpSequence: UInt32 { count > 40 ? rawSpan.be32(at: 24) : 0 }
  /// Its payload.
  var tcpPayload: [UInt8] { count > 40 ? Array(dropFirst(20 + Int(self[32] >> 4) * 4)) : [] }
}
