// What lies in a `SegmentBatch`.

/// One run of segments of a `SegmentBatch`.
public struct SegmentRun: Sendable {
  /// The engine's channel that it leaves on; nil where there is none (SYN-ACK, RST).
  public var channel: Int?
  /// Between which endpoints a kernel UDP socket carries the run; nil where it starts with an IP
  /// header of ours.
  public var datagramPath: FourTuple?
  /// Where the IP header starts in the arena; `SegmentBatch.headroom` bytes before it are free.
  public var headerOffset: Int
  /// The size of the IP header in bytes: 20 (IPv4), 40 (IPv6), or 0 where there is none of ours.
  public var ipHeaderLength: Int
  /// What stands behind the IP header: 6 (TCP), 1 or 58 (ICMP); 17 where a kernel UDP socket carries it.
  public var protocolNumber: UInt8
  /// The pieces of the run; the first starts with the IP header, where there is one.
  public var pieces: Range<Int>
  /// The TCP or UDP payload of each segment but the last, in bytes; of ICMP the frames.
  public var segmentSize: Int
  /// The TCP or UDP payload of all segments, in bytes; of ICMP the frames.
  public var payloadLength: Int

  /// Whether it is fake TCP: the kernel, or the card, cuts it and completes its checksums.
  public var isTCP: Bool { protocolNumber == 6 }

  /// Whether it is one of IPv4.
  public var isIPv4: Bool { ipHeaderLength == IPv4Header.byteCount }

  /// How many segments the run will be cut into.
  public var segmentCount: Int {
    segmentSize == 0 ? 1 : max(1, (payloadLength &+ segmentSize &- 1) / segmentSize)
  }
}
