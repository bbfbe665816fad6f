// What is on the wire of a channel that is found by a number, behind the headers of its carrier
// (docs/protocol.md).
//
//    channel 4 | frame | …                                 a segment
//    16 | 03 01 | length 2 | kind 1 | channel 4 | …        a message, while there is no channel

/// What a segment has in front of its frames: the number of its channel, which lasts when a NAT gives its
/// client another port.
public enum ChannelNumber {
  /// Its size in bytes.
  public static let byteCount = 4

  /// Whether a channel may have this number: a message starts with another byte.
  public static func isValid(_ number: UInt32) -> Bool {
    UInt8(truncatingIfNeeded: number >> 24) != HandshakeRecord.type
  }
}

/// What is said while there is no channel.
public struct ChannelMessage: ~Escapable {
  /// What a message is.
  public enum Kind: UInt8, Sendable {
    /// Client: asks for a token. Content: hint 4, padding of 8 bytes or more.
    case knock = 1
    /// Server: a token for this channel at this address. Content: the token, 8 bytes.
    case token = 2
    /// Client: its first message. Content: the token, then what a first message on TCP has.
    case opening = 3
    /// Server: its first message. Content: as on TCP.
    case answer = 4
    /// Server: a segment came whose channel it does not know. No content.
    case unknown = 5
  }

  /// The bytes in front of the content.
  public static let headerByteCount = HandshakeRecord.headerByteCount + 5
  /// The size of a token in bytes.
  public static let tokenByteCount = 8
  /// What a knock has at least, so that the token is no longer.
  public static let shortestKnock = 12

  /// What it is.
  public let kind: Kind
  /// The channel that it is about, chosen by the client at random.
  public let channel: UInt32
  /// What follows.
  public let content: RawSpan

  /// Reads all that a segment carries; nil where it is no message.
  @_lifetime(copy bytes)
  public init?(parsing bytes: RawSpan) {
    guard let record = HandshakeRecord.content(of: bytes), record.byteCount >= 5,
      let kind = Kind(rawValue: record.byte(at: 0))
    else { return nil }
    self.kind = kind
    channel = record.be32(at: 1)
    content = record.extracting(5..<record.byteCount)
  }

  /// All that its segment carries.
  public static func bytes(_ kind: Kind, channel: UInt32, content: [UInt8] = []) -> [UInt8] {
    let number = (0..<4).map { UInt8(truncatingIfNeeded: channel >> (24 - 8 * $0)) }
    return HandshakeRecord.bytes(containing: [kind.rawValue] + number + content)
  }

  /// The bytes of a token.
  public static func bytes(ofToken token: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: token >> (56 - 8 * $0)) }
  }
}
