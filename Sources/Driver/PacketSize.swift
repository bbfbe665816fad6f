// What users are told of the size of packets.

/// What fits the packets of a tunnel, in words.
public enum PacketSize {
  /// What WireGuard adds to a packet: 16 bytes of header and 16 of tag. Its padding stays within its MTU.
  private static let wireGuardOverhead = 32

  /// A part of a sentence about datagrams that are not cut, of so many bytes at most.
  public static func sentence(largestDatagram byteCount: Int) -> String {
    "datagrams of up to \(byteCount) bytes travel whole: WireGuard's MTU is "
      + "\(byteCount - wireGuardOverhead) at most"
  }
}
