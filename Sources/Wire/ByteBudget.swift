// How much a connection is to carry, in one byte of a client's Hello.
//
//     exponent 5 bits | fraction 3 bits:  (8 + fraction) << exponent bytes;  0: no bound

/// How many bytes a connection is to carry, both ways together.
public struct ByteBudget: Hashable, Sendable {
  /// As on the wire; 0 where there is no bound.
  public let code: UInt8

  /// No bound.
  public static let none = ByteBudget(code: 0)

  /// A budget from its byte on the wire.
  public init(code: UInt8) { self.code = code }

  /// The largest budget of at most `bytes`, which is at least 9: an eighth less at the most, and never more
  /// than 30 GiB.
  public init(atMost bytes: UInt64) {
    let exponent = max(0, 60 - bytes.leadingZeroBitCount)
    let isTooLarge = exponent > 31
    let fraction = min(max(bytes >> UInt64(exponent), 8), 15) - 8
    code = isTooLarge ? .max : max(1, UInt8(exponent) << 3 | UInt8(fraction))
  }

  /// The bytes; nil where there is no bound.
  public var bytes: UInt64? {
    code == 0 ? nil : UInt64(8 + code & 7) << UInt64(code >> 3)
  }
}
