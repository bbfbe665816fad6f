// An IPv4 address as a value.

/// An IPv4 address (RFC 791).
public struct IPv4Address: Hashable, Sendable {
  /// The address as a number, host byte order: 192.0.2.1 is 0xC000_0201.
  public var rawValue: UInt32

  /// An address from its number in host byte order.
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// 0.0.0.0, the wildcard.
  public static let any = IPv4Address(rawValue: 0)

  /// Parses dotted decimal: exactly four numbers of 0-255 without leading zeros (RFC 6943,
  /// section 3.1.1: other forms mean different addresses to different programs).
  public init?(_ text: some StringProtocol) {
    let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard let octet = decimal(part, upTo: 255), part.count == 1 || part.first != 0x30 else {
        return nil
      }
      value = value << 8 | UInt32(octet)
    }
    rawValue = value
  }
}

extension IPv4Address: CustomStringConvertible {
  /// Dotted decimal.
  public var description: String {
    "\(rawValue >> 24).\(rawValue >> 16 & 255).\(rawValue >> 8 & 255).\(rawValue & 255)"
  }
}

/// A number in ASCII decimal digits, nil where it is empty, not a number or over `limit`.
func decimal(_ digits: some Collection<UInt8>, upTo limit: Int) -> Int? {
  guard !digits.isEmpty, digits.count <= 10 else { return nil }
  var value = 0
  for digit in digits {
    guard digit >= 0x30, digit <= 0x39 else { return nil }
    value = value * 10 + Int(digit - 0x30)
  }
  return value <= limit ? value : nil
}
