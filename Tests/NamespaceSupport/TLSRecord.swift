// TLS records as an observer sees them (RFC 8446, section 5.1). Written apart from Sources/Wire on
// purpose: what is judged must not be read by its own parser.

import Wire

/// A TLS record in a payload.
public struct TLSRecord: Hashable, Sendable {
  /// What it says that it is.
  public enum Kind: UInt8, Sendable {
    /// `handshake`, with the version that first records have: 16 03 01.
    case handshake = 0x16
    /// `application_data`: 17 03 03.
    case applicationData = 0x17

    fileprivate var version: UInt16 { self == .handshake ? 0x0301 : 0x0303 }
  }

  private static let headerByteCount = 5

  /// What it says that it is.
  public let kind: Kind
  /// Where its content lies in the payload.
  public let content: Range<Int>

  /// The records that a payload consists of; nil where it does not consist of whole records.
  public static func sequence(in payload: RawSpan) -> [TLSRecord]? {
    var records: [TLSRecord] = []
    var offset = 0
    while offset < payload.byteCount {
      let start = offset + headerByteCount
      guard start <= payload.byteCount, let kind = Kind(rawValue: payload.byte(at: offset)),
        payload.be16(at: offset + 1) == kind.version
      else { return nil }
      offset = start + Int(payload.be16(at: offset + 3))
      guard offset <= payload.byteCount else { return nil }
      records.append(TLSRecord(kind: kind, content: start..<offset))
    }
    return records
  }
}
