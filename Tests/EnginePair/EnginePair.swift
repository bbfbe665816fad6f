// Two connected engines with their batches, for measuring: what one sends, the other receives at
// once, and nothing in between allocates.

internal import Crypto
internal import Engine
internal import Wire

/// A client and a server that are connected by one channel.
@safe public struct EnginePair: ~Copyable {
  /// How packets reach the receiver.
  public enum Delivery: Sendable {
    /// As GRO delivers a run: in one piece.
    case merged
    /// One segment a packet.
    case single
  }

  private var client: TunnelEngine
  private var server: TunnelEngine
  private var now = Instant(nanoseconds: 1_000_000_000_000)
  /// The datagrams that came out of the tunnel so far.
  public private(set) var delivered = 0
  private var apps = PacketBatch(capacity: 64, slotSize: 65_536)
  private var wire = PacketBatch(capacity: 128, slotSize: 65_536)
  private var segments = SegmentBatch(runs: 128, pieces: 1024, arenaSize: 1 << 18)
  private var replies = SegmentBatch(runs: 128, pieces: 1024, arenaSize: 1 << 18)
  private var datagrams = DatagramBatch(datagrams: 4096, arenaSize: 1 << 20)

  /// A connected pair, on fake TCP or ICMP; each way carries packets of up to 1500 bytes.
  public init(isSealed: Bool = false, isOnICMP: Bool = false) {
    let address = IPAddress(ipv4: 0xC000_0201)
    let ports = PortSet([10_001...10_001])
    let secret = SipHashKey(1, 2)
    let session = SessionID(high: 3, low: 4)
    let keys =
      isSealed ? [NamedKey(name: "bench", key: SecretKey { $0.set(7 as UInt8, at: 0) })] : []
    var serving = EngineConfiguration(role: .server(ports: ports))
    serving.keys = keys
    serving.carriers = isOnICMP ? [.icmp] : [.tcp]
    var dialling = EngineConfiguration(
      role: .client(server: address, ports: ports, maxChannels: 1))
    dialling.keys = keys
    dialling.carriers = serving.carriers
    let seeds = (1...2).map { number in SecretKey { $0.set(UInt8(number), at: 0) } }
    server = TunnelEngine(
      serving, entropy: Entropy(secret: secret, keySeed: seeds[0], session: session, seed: 5),
      at: now)
    client = TunnelEngine(
      dialling, entropy: Entropy(secret: secret, keySeed: seeds[1], session: session, seed: 6),
      at: now)
    connect()
  }

  private mutating func connect() {
    let path = Path(mtu: 1500, carriesRuns: true)
    while let event = client.nextEvent() {
      guard case .dial(let slot, _, let remote) = event else { continue }
      let local = Endpoint(IPAddress(ipv4: 0xC000_0202), 40_000)
      _ = client.dial(
        slot: slot, tuple: FourTuple(local: local, remote: remote), path: path, into: &segments,
        at: now)
    }
    for _ in 0..<10 { exchange(.merged) }
    while let event = server.nextEvent() {
      if case .channelOpened(let channel, _) = event {
        server.setPath(path, channel: channel, at: now)
      }
    }
  }

  /// Fills the app's batch with `count` datagrams, in one GRO buffer or each alone.
  public mutating func fill(count: Int, size: Int, merged: Bool) {
    apps.removeAll()
    let source = Endpoint(IPAddress(ipv4: 0x7F00_0001), 9999)
    if merged {
      apps.append(
        PacketSlot(offset: 0, length: count * size, segmentSize: size, source: source))
    } else {
      for index in 0..<count {
        apps.append(PacketSlot(offset: index * apps.slotSize, length: size, source: source))
      }
    }
  }

  /// The client takes the app's batch.
  public mutating func encapsulate() {
    client.encapsulate(&apps, from: .apps, into: &segments, at: now)
  }

  /// What the client sent becomes packets for the server.
  public mutating func carry(_ delivery: Delivery) {
    segments.completeChecksums(packets: apps)
    Self.carry(segments, payloads: apps, to: &wire, delivery)
    segments.removeAll()
  }

  /// The server takes the packets.
  public mutating func decapsulate() {
    server.decapsulate(&wire, into: &datagrams, replies: &replies, at: now)
  }

  /// The server's answers reach the client, and 1 ms passes.
  public mutating func finishRound() {
    for index in 0..<datagrams.count { delivered += datagrams[index].pieces.count }
    datagrams.removeAll()
    server.advance(to: now, into: &replies)
    Self.carry(replies, payloads: apps, to: &wire, .merged)
    replies.removeAll()
    client.decapsulate(&wire, into: &datagrams, replies: &segments, at: now)
    datagrams.removeAll()
    now = now + .milliseconds(1)
    client.advance(to: now, into: &segments)
  }

  /// A whole round.
  public mutating func exchange(_ delivery: Delivery) {
    encapsulate()
    carry(delivery)
    decapsulate()
    finishRound()
  }

  private static func carry(
    _ segments: borrowing SegmentBatch, payloads: borrowing PacketBatch,
    to wire: inout PacketBatch, _ delivery: Delivery
  ) {
    wire.removeAll()
    for index in 0..<segments.count {
      let run = segments[index]
      let start = wire.count * wire.slotSize
      var length = 0
      for number in run.pieces {
        let bytes = segments.bytes(of: segments.piece(number), packets: payloads)
        unsafe bytes.withUnsafeBytes {
          unsafe UnsafeMutableRawBufferPointer(rebasing: wire.memory[(start + length)...])
            .copyMemory(from: $0)
        }
        length += bytes.byteCount
      }
      guard delivery == .single, run.segmentCount > 1 else {
        wire.append(PacketSlot(offset: start, length: length, isChecksumTrusted: true))
        continue
      }
      cut(run, headerLength: length - run.payloadLength, at: start, in: &wire)
    }
  }

  /// Lays the segments of a run into slots of their own, the first one last.
  private static func cut(
    _ run: SegmentRun, headerLength: Int, at start: Int, in wire: inout PacketBatch
  ) {
    let memory = unsafe wire.memory
    let sequence = unsafe UInt32(
      bigEndian: memory.loadUnaligned(fromByteOffset: start + 24, as: UInt32.self))
    for segment in (0..<run.segmentCount).reversed() {
      let offset = segment * run.segmentSize
      let size = min(run.segmentSize, run.payloadLength - offset)
      let slot = start + segment * wire.slotSize
      let payload = unsafe UnsafeRawBufferPointer(
        rebasing: memory[(start + headerLength + offset)..<(start + headerLength + offset + size)])
      unsafe UnsafeMutableRawBufferPointer(rebasing: memory[(slot + headerLength)...])
        .copyMemory(from: payload)
      unsafe UnsafeMutableRawBufferPointer(rebasing: memory[slot...])
        .copyMemory(
          from: UnsafeRawBufferPointer(rebasing: memory[start..<(start + headerLength)]))
      let total = UInt16(headerLength + size)
      unsafe memory.storeBytes(of: total.bigEndian, toByteOffset: slot + 2, as: UInt16.self)
      let number = sequence &+ UInt32(offset)
      unsafe memory.storeBytes(of: number.bigEndian, toByteOffset: slot + 24, as: UInt32.self)
    }
    for segment in 0..<run.segmentCount {
      let size = min(run.segmentSize, run.payloadLength - segment * run.segmentSize)
      wire.append(
        PacketSlot(
          offset: start + segment * wire.slotSize, length: headerLength + size,
          isChecksumTrusted: true))
    }
  }
}
