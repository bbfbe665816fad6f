// What passed on a channel one way.

/// What passed one way since a channel opened.
public struct ChannelTraffic: Hashable, Sendable {
  /// Segments that carry frames, and pure acknowledgments. Those of the handshake came before.
  public internal(set) var segments: UInt64 = 0
  /// The payload of these, in bytes: frames with their headers.
  public internal(set) var bytes: UInt64 = 0
  /// Datagrams.
  public internal(set) var datagrams: UInt64 = 0

  /// Counts segments with so many bytes of payload in all.
  @inline(__always)
  mutating func count(segments: Int, bytes: Int) {
    self.segments &+= UInt64(truncatingIfNeeded: segments)
    self.bytes &+= UInt64(truncatingIfNeeded: bytes)
  }
}
