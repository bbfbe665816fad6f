// What rsock has to know of UDP's header, which is the kernel's.

/// The segments of channels on UDP.
public enum UDPSegment {
  /// The size of a UDP header (RFC 768), in bytes.
  public static let udpHeaderByteCount = 8
  /// The most bytes of frames in one run: the largest UDP payload over IPv4, less each segment's channel.
  public static let runRoom = 65_507 - SegmentBatch.runLimit * ChannelNumber.byteCount
}
