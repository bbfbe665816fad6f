import Crypto
import Samples
import Testing
import Wire

@testable import Engine

/// A client's connections to servers that are not ours, such as a proxy that stands in for one.
@Suite struct WindowScaleTests {
  /// A client's connection behind a kernel's SYN-ACK with this window scale; nil for none.
  private static func connection(scale: UInt8?) -> TCPConnection? {
    let now = Instant(nanoseconds: 1_000_000_000)
    let server = Endpoint(IPAddress(ipv4: 0xC000_0202), 10_001)
    var configuration = EngineConfiguration(
      role: .client(
        server: server.address, ports: PortSet([server.port...server.port]), maxChannels: 1))
    configuration.initialSequence = 0xB2A2_42CF
    var engine = TunnelEngine(
      configuration,
      entropy: Entropy(
        secret: SipHashKey(1, 2), keySeed: SecretKey { $0.set(3 as UInt8, at: 0) },
        session: SessionID(high: 4, low: 5), seed: 6),
      at: now)
    var segments = SegmentBatch(runs: 16, pieces: 64, arenaSize: 1 << 14)
    let channel = engine.dial(
      slot: 0,
      tuple: FourTuple(local: Endpoint(IPAddress(ipv4: 0xC000_0201), 40_000), remote: server),
      path: Path(mtu: 1500, carriesRuns: true), into: &segments, at: now)
    var synAck = KernelSegments.synAck
    synAck.replaceSubrange(49..<52, with: scale.map { [3, 3, $0] } ?? [1, 1, 1])
    var packets = PacketBatch(capacity: 1, slotSize: 4096)
    packets.append(copying: synAck.rawSpan, source: Endpoint(.any, 0))
    // The same bytes, trusted: their checksum was that of another scale.
    packets.removeAll()
    packets.append(PacketSlot(offset: 0, length: synAck.count, isChecksumTrusted: true))
    var datagrams = DatagramBatch(datagrams: 1)
    engine.decapsulate(&packets, into: &datagrams, replies: &segments, at: now)
    return engine.channels[channel].state == .helloSent ? engine.channels[channel].tcp : nil
  }

  /// The shift count that the peer sent counts, at most 14; without one neither side scales (RFC 7323,
  /// sections 2.2 and 2.3).
  @Test(
    arguments: [
      (nil, 1000, .max), (0, 1000, 32_768), (3, 8000, 32_768), (7, 128_000, 32_768),
      (14, 16_384_000, 32_768), (15, 16_384_000, 32_768), (255, 16_384_000, 32_768),
    ] as [(UInt8?, Int, UInt16)])
  func ofTheSYNACK(_ scale: UInt8?, _ window: Int, _ advertised: UInt16) throws {
    var connection = try #require(Self.connection(scale: scale))
    #expect(connection.peerWindow == 64_240, "that of the SYN-ACK itself is not scaled")
    let header = TCPHeader(
      sourcePort: 10_001, destinationPort: 40_000, sequence: connection.receiveNext,
      acknowledgment: connection.sendNext, flags: .ack, window: 1000)
    let isNews = connection.acknowledge(header)
    #expect(isNews && connection.peerWindow == window)
    let tuple = FourTuple(local: Endpoint(.any, 1), remote: Endpoint(.any, 2))
    let (next, _) = connection.nextHeader(tuple, flags: .ack, payloadLength: 0)
    #expect(next.window == advertised)
  }
}
