// An Ethernet address as a value.

import Wire

/// An Ethernet address.
public struct LinkAddress: Hashable, Sendable {
  /// The six bytes as a number; the first byte on the wire is the highest.
  public let rawValue: UInt64

  /// An address from the lower 48 bits of a number.
  public init(rawValue: UInt64) { self.rawValue = rawValue & 0xFFFF_FFFF_FFFF }

  /// The six bytes in the order of the wire.
  public var bytes: InlineArray<6, UInt8> {
    InlineArray { UInt8(truncatingIfNeeded: rawValue >> UInt64(8 * (5 - $0))) }
  }
}

extension LinkAddress: CustomStringConvertible {
  /// Six bytes in hexadecimal, with colons between.
  public var description: String {
    (0..<6).map {
      let digits = String(bytes[$0], radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined(separator: ":")
  }
}

extension NetlinkAttributes {
  /// An attribute that is an Ethernet address, nil where it is absent or of another length.
  func linkAddress(_ type: Int) -> LinkAddress? {
    guard let found = find(type), found.byteCount == 6 else { return nil }
    var value: UInt64 = 0
    for offset in 0..<6 { value = value << 8 | UInt64(found.byte(at: offset)) }
    return LinkAddress(rawValue: value)
  }

  /// An attribute that is an IPv4 or IPv6 address, nil where it is absent or of another length.
  func address(_ type: Int) -> IPAddress? {
    guard let found = find(type) else { return nil }
    return IPAddress(bytes: found)
  }
}

extension NetlinkRequest {
  /// Adds an attribute that is an address.
  mutating func put(_ type: Int, _ address: IPAddress) {
    switch address.family {
    case .ipv4: put(type, address.ipv4.bigEndian)
    case .ipv6:
      let words: InlineArray<2, UInt64> = [address.high.bigEndian, address.low.bigEndian]
      put(type, words.span.octets)
    }
  }
}
