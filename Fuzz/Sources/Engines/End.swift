// An engine with what its driver would do for it, checking what the engine says and sends.

import Crypto
import Samples
import Wire

@testable import Engine

/// One end of the tunnel.
final class End {
  let address: IPAddress
  private var engine: TunnelEngine
  /// What it has sent since it was last taken.
  private var outgoing: [Packet] = []
  /// Whether dials find a way, and strangers the decoy.
  var hasRoute = true
  var path: Path
  private var channels: [Int: FourTuple] = [:]
  private var flows: Set<Int> = []
  /// Who is shown the decoy.
  private var strangers: [Stranger] = []
  private var nextPort: UInt16 = 40_000

  // Small, since thousands of them are made a second: all datagrams are the same zeros, and packets
  // lie behind one another as long as there is room.
  private var apps = PacketBatch(capacity: 4, slotSize: 16_384)
  private var received = PacketBatch(capacity: 16, slotSize: 8_192)
  private var datagrams: DatagramBatch
  private var segments: SegmentBatch

  /// `room` is how much fits its batches; little makes them overflow.
  init(
    _ configuration: EngineConfiguration, address: IPAddress, path: Path, room: Int,
    at now: Instant
  ) {
    self.address = address
    self.path = path
    datagrams = DatagramBatch(datagrams: room, arenaSize: 2048 * room)
    segments = SegmentBatch(runs: room, pieces: 4 * room, arenaSize: 512 * room)
    unsafe apps.memory.initializeMemory(as: UInt8.self, repeating: 0)
    var configuration = configuration
    configuration.hasFastAES = true
    engine = TunnelEngine(
      configuration,
      entropy: Entropy(
        secret: SipHashKey(UInt64(address.ipv4), 1),
        keySeed: SecretKey { $0.set(address.ipv4, at: 0) }, session: Self.session,
        seed: UInt64(address.ipv4)),
      at: now)
    setClock(Self.clock, at: now)
    drainEvents(at: now)
  }

  /// The client's session.
  static let session = SessionID(high: 3, low: 4)
  /// The time on the wall when a world begins, in milliseconds since 1970.
  static let clock: UInt64 = 1_790_000_000_000

  var nextDeadline: Instant { engine.nextDeadline }
  /// The flows that datagrams came out of, smallest first.
  var openFlows: [Int] { flows.sorted() }
  var openChannels: [Int] { channels.keys.sorted() }

  func takeOutgoing() -> [Packet] {
    defer { outgoing.removeAll() }
    return outgoing
  }

  // MARK: the verbs

  /// Takes up to 16 packets at once.
  func receive(_ packets: [Packet], at now: Instant) {
    received.removeAll()
    var offset = 0
    for packet in packets where store(packet, at: offset) { offset += packet.bytes.count }
    engine.decapsulate(&received, into: &datagrams, replies: &segments, at: now)
    for index in 0..<datagrams.count { inspect(datagrams[index]) }
    datagrams.removeAll()
    finish(at: now)
  }

  private func store(_ packet: Packet, at offset: Int) -> Bool {
    let slot = PacketSlot(
      offset: offset, length: packet.bytes.count, isChecksumTrusted: packet.isChecksumTrusted)
    guard received.append(slot) else { return false }
    unsafe packet.bytes.withUnsafeBytes {
      unsafe UnsafeMutableRawBufferPointer(rebasing: received.memory[offset...])
        .copyMemory(from: $0)
    }
    return true
  }

  /// Sends buffers of an app, or of the target; `segmentSize` is that of UDP_GRO, which merges at most
  /// 64 datagrams: here it is twice as many.
  func send(
    sizes: [Int], segmentSize: Int, from source: Endpoint, origin: DatagramOrigin, at now: Instant
  ) {
    apps.removeAll()
    for size in sizes {
      let length = min(size, 65_507)
      apps.append(
        PacketSlot(
          offset: 0, length: length,
          segmentSize: segmentSize == 0 ? 0 : max(segmentSize, length / 128), source: source))
    }
    engine.encapsulate(&apps, from: origin, into: &segments, at: now)
    finish(at: now)
  }

  /// Does what is due. With an empty batch everything that is due is done, or the engine would keep
  /// its driver busy for ever.
  func advance(to now: Instant) {
    var calls = 0
    while engine.nextDeadline <= now {
      calls += 1
      require(calls < 10_000, "time goes on")
      engine.advance(to: now, into: &segments)
      finish(at: now)
    }
  }

  func networkChanged(at now: Instant) {
    engine.networkChanged(at: now)
    finish(at: now)
  }

  func close(at now: Instant) {
    engine.close(at: now, into: &segments)
    finish(at: now)
  }

  func setKeys(_ keys: [NamedKey], at now: Instant) {
    engine.setKeys(keys, at: now)
    finish(at: now)
  }

  func setClock(_ milliseconds: UInt64, at now: Instant) {
    engine.setClock(milliseconds, at: now)
  }

  /// A stranger's connection ends.
  func forgetStranger() {
    if let stranger = strangers.popLast() { engine.forget(stranger.tuple) }
  }

  func setPath(_ path: Path, channel: Int, at now: Instant) {
    engine.setPath(path, channel: channel, at: now)
  }

  func setInterfaceMTU(_ mtu: Int) { engine.setInterfaceMTUs([address: mtu]) }

  // MARK: what comes of them

  private func finish(at now: Instant) {
    collectSegments()
    drainEvents(at: now)
  }

  private func inspect(_ run: DatagramRun) {
    require(run.pieces.count <= DatagramBatch.runLimit, "a run is one send")
    var total = 0
    for index in run.pieces {
      let piece = datagrams.piece(index)
      let isInside =
        piece.origin == .arena
        || (0..<received.count).contains {
          let slot = received.slot($0)
          return piece.offset >= slot.offset
            && piece.offset + piece.length <= slot.offset + slot.length
        }
      require(isInside, "a datagram lies in the packet that it came in, or was copied")
      require(
        index == run.pieces.upperBound - 1
          ? piece.length <= run.segmentSize : piece.length == run.segmentSize, "sizes are equal")
      total += piece.length
    }
    require(total <= DatagramBatch.runPayloadLimit, "a run fits a send")
    flows.insert(run.flow)
  }

  private func collectSegments() {
    for index in 0..<segments.count {
      let run = segments[index]
      var packet = Packet(bytes: [])
      for piece in run.pieces {
        packet.append(segments.bytes(of: segments.piece(piece), packets: apps))
      }
      inspect(run, packet.bytes.rawSpan)
      outgoing.append(packet)
    }
    segments.removeAll()
  }

  /// What is sent is what a peer reads without complaint.
  private func inspect(_ run: SegmentRun, _ bytes: RawSpan) {
    require(run.segmentCount <= SegmentBatch.runLimit, "a run is one send")
    guard let packet = IPPacket(bytes), let segment = TCPSegment(packet.payload) else {
      return require(false, "a packet is one")
    }
    require(segment.payload.byteCount == run.payloadLength, "the payload is what the run says")
    guard HandshakeRecord.content(of: segment.payload) == nil, !segment.flags.contains(.rst)
    else { return }
    var end = 0
    for frame in FrameList(segment.payload) { end = frame.end }
    require(end == run.payloadLength, "frames are whole")
  }

  private func drainEvents(at now: Instant) {
    while let event = engine.nextEvent() {
      switch event {
      case .dial(let slot, _, let remote): dial(slot, remote, at: now)
      case .channelOpened(let channel, let tuple):
        require(channels.updateValue(tuple, forKey: channel) == nil, "an index has one channel")
        engine.setPath(path, channel: channel, at: now)
      case .channelClosed(let channel, let tuple):
        require(channels.removeValue(forKey: channel) == tuple, "what closes was open")
      case .flowClosed(let flow): flows.remove(flow)
      case .stranger(let stranger): receive(stranger)
      case .channelMoved, .connected, .disconnected, .unanswered, .sessionEnded, .largestDatagram,
        .versionMismatch, .cipherMismatch, .serverAnswered, .proxied, .moreChannels:
        break
      }
    }
  }

  private func receive(_ stranger: Stranger) {
    require(stranger.payload.count <= Stranger.payloadLimit, "a stranger is bounded")
    require(!strangers.contains { $0.tuple == stranger.tuple }, "a stranger comes once")
    if hasRoute {
      strangers.append(stranger)
      engine.welcome(stranger, into: &segments)
    } else {
      engine.turnAway(stranger, into: &segments)
    }
    collectSegments()
  }

  private func dial(_ slot: Int, _ remote: Endpoint, at now: Instant) {
    guard hasRoute else { return engine.dialFailed(slot: slot, at: now) }
    let tuple = FourTuple(local: Endpoint(address, nextPort), remote: remote)
    nextPort = nextPort == .max ? 1024 : nextPort + 1
    let channel = engine.dial(slot: slot, tuple: tuple, path: path, into: &segments, at: now)
    require(channels.updateValue(tuple, forKey: channel) == nil, "an index has one channel")
    collectSegments()
  }
}
