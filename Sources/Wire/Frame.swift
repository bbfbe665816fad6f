// The tunnel's own unit on the wire: an 8-byte header and a payload (docs/protocol.md).
//
//    0        1        2        3        4        5        6        7
//   +--------+--------+--------+--------+--------+--------+--------+--------+
//   | type   | length          | flow            | number                   | payload …
//   +--------+--------+--------+--------+--------+--------+--------+--------+

/// What a frame carries. Any other value is an unknown frame: counted and skipped.
public enum FrameType: UInt8, Sendable {
  /// One whole datagram of the flow.
  case datagram = 1
  /// A piece of a datagram that does not fit a segment; see `FragmentHeader`.
  case fragment = 2
  /// A question on this channel whether the peer hears; the payload is to be sent back.
  case probe = 3
  /// The answer to a probe, with the probe's payload.
  case answer = 4
  /// Tells what has arrived of the frames that the receiver sent on this channel.
  case report = 5
  /// Names channels, by 4-byte identifiers, whose path may be about to fail.
  case suspect = 6
  /// The sender closes this channel.
  case close = 7
  /// Says that the sender hears this channel; needs no answer.
  case keepalive = 8
  /// One whole datagram of the flow that may come on another channel as well; see `CopyHeader`.
  case copy = 9
  /// A server's: what it sends is lost on all channels alike, and the client may open more.
  case more = 10
}

/// The header of a plain frame.
public struct FrameHeader: Sendable {
  /// Its size in bytes.
  public static let byteCount = 8
  /// Frame numbers are 24 bits wide and wrap.
  public static let numberMask: UInt32 = 0xFF_FFFF

  /// The type as it stands on the wire; see `FrameType`.
  public var type: UInt8
  /// The payload's size in bytes. 0 is a valid datagram.
  public var length: UInt16
  /// The flow of a datagram, copy or fragment, chosen by the client; 0 on other types.
  public var flow: UInt16
  /// Counts the frames of a channel and direction, 24 bits.
  public var number: UInt32

  /// A header from its fields.
  @inlinable @inline(__always)
  public init(type: FrameType, length: UInt16, flow: UInt16 = 0, number: UInt32) {
    self.type = type.rawValue
    self.length = length
    self.flow = flow
    self.number = number & Self.numberMask
  }

  /// Reads the header at `offset`; nil where fewer than 8 bytes are left.
  @inlinable @inline(__always)
  public init?(parsing bytes: RawSpan, at offset: Int) {
    guard offset >= 0, offset <= bytes.byteCount &- Self.byteCount else { return nil }
    let word = bytes.be64(at: offset)
    type = UInt8(truncatingIfNeeded: word >> 56)
    length = UInt16(truncatingIfNeeded: word >> 40)
    flow = UInt16(truncatingIfNeeded: word >> 24)
    number = UInt32(truncatingIfNeeded: word) & Self.numberMask
  }

  /// The header's bytes as one number whose big-endian form goes on the wire.
  @inlinable @inline(__always)
  public var encoded: UInt64 {
    UInt64(type) << 56 | UInt64(length) << 40 | UInt64(flow) << 24 | UInt64(number)
  }
}
