// The record that the first payload each way on a channel is (docs/protocol.md). Filters block streams
// that start with bytes of pure entropy and spare those that look like TLS (RFC 8446, section 5.1).
//
//    16 | 03 01 | length 2 | content

/// The record of a first payload.
public enum HandshakeRecord {
  /// The size of its header in bytes.
  public static let headerByteCount = 5
  /// The first byte. No frame starts with it.
  public static let type: UInt8 = 0x16
  private static let version: UInt16 = 0x0301

  /// The content of a payload that is such a record and nothing else; nil where it is none.
  @_lifetime(copy bytes)
  public static func content(of bytes: RawSpan) -> RawSpan? {
    guard bytes.byteCount > headerByteCount, bytes.byte(at: 0) == type,
      bytes.be16(at: 1) == version,
      Int(bytes.be16(at: 3)) == bytes.byteCount &- headerByteCount
    else { return nil }
    return bytes.extracting(headerByteCount..<bytes.byteCount)
  }

  /// The bytes of a record; the content has at most 65,535.
  public static func bytes(containing content: [UInt8]) -> [UInt8] {
    let length = UInt16(content.count)
    return [
      type, UInt8(version >> 8), UInt8(version & 0xFF), UInt8(length >> 8), UInt8(length & 0xFF),
    ] + content
  }
}
