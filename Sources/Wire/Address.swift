// An IP address as a value: IPv4 and IPv6 in one type, so that tables, four-tuples and routes need
// to know no families.

/// An IPv4 (RFC 791) or IPv6 (RFC 4291) address. An IPv4 address is held as the IPv4-mapped IPv6
/// one, ::ffff:192.0.2.1 (RFC 4291, section 2.5.5.2), so the two families never collide.
public struct IPAddress: Hashable, Sendable {
  /// The first eight bytes as a number in host byte order; 0 for IPv4.
  public var high: UInt64
  /// The last eight bytes.
  public var low: UInt64

  /// An address from the numbers of its two halves.
  @inlinable
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// An IPv4 address from its number in host byte order: 192.0.2.1 is 0xC000_0201.
  @inlinable
  public init(ipv4 number: UInt32) {
    high = 0
    low = Self.mappedPrefix << 32 | UInt64(number)
  }

  @usableFromInline static let mappedPrefix: UInt64 = 0xFFFF

  /// Whether it is an IPv4 address.
  @inlinable public var isIPv4: Bool { high == 0 && low >> 32 == Self.mappedPrefix }

  /// An IPv4 address as a number in host byte order. Of an IPv6 address the last 32 bits, which say
  /// nothing by themselves.
  @inlinable public var ipv4: UInt32 { UInt32(truncatingIfNeeded: low) }

  /// 0.0.0.0, the wildcard of IPv4.
  public static let any = IPAddress(ipv4: 0)
  /// ::, the wildcard of IPv6.
  public static let anyIPv6 = IPAddress(high: 0, low: 0)

  /// Whether it may be the address of one host: of IPv4 not 0/8, multicast, reserved or broadcast; of
  /// IPv6 not the wildcard or multicast (RFC 4291, section 2.7).
  public var isHost: Bool {
    isIPv4 ? (0x0100_0000..<0xe000_0000).contains(ipv4) : self != .anyIPv6 && high >> 56 != 0xFF
  }

  /// Parses dotted decimal, or one of the forms of RFC 4291, section 2.2. In dotted decimal: exactly
  /// four numbers of 0-255 without leading zeros (RFC 6943, section 3.1.1: other forms mean
  /// different addresses to different programs).
  public init?(_ text: some StringProtocol) {
    if let number = Self.dottedDecimal(text.utf8) {
      self.init(ipv4: number)
    } else {
      self.init(groups: text.utf8)
    }
  }

  private static func dottedDecimal(_ text: some Collection<UInt8>) -> UInt32? {
    let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var number: UInt32 = 0
    for part in parts {
      guard let octet = decimal(part, upTo: 255), part.count == 1 || part.first != 0x30 else {
        return nil
      }
      number = number << 8 | UInt32(octet)
    }
    return number
  }
}

/// Which IP an address, or a socket, belongs to.
public enum AddressFamily: UInt8, Hashable, Sendable, CaseIterable {
  /// IPv4.
  case ipv4 = 4
  /// IPv6.
  case ipv6 = 6
}

extension IPAddress {
  /// The family that it belongs to.
  @inlinable public var family: AddressFamily { isIPv4 ? .ipv4 : .ipv6 }

  /// The wildcard of a family.
  public static func any(_ family: AddressFamily) -> IPAddress {
    family == .ipv4 ? any : anyIPv6
  }

  /// Whether it is the wildcard of its family.
  public var isAny: Bool { self == .any || self == .anyIPv6 }

  /// Whether it means something on one link only (RFC 4291, section 2.5.6).
  public var isLinkLocal: Bool { high >> 54 == 0xFE80 >> 6 }
}

extension IPAddress: CustomStringConvertible {
  /// Dotted decimal, or the form of RFC 5952.
  public var description: String { isIPv4 ? dottedDecimal : groupText }

  private var dottedDecimal: String {
    "\(ipv4 >> 24).\(ipv4 >> 16 & 255).\(ipv4 >> 8 & 255).\(ipv4 & 255)"
  }
}

// The text of IPv6: up to eight groups of up to four hexadecimal digits.
extension IPAddress {
  private typealias Group = UInt16

  /// Parses `2001:db8::1`, `::`, `::ffff:192.0.2.1` and the like, without a zone.
  private init?(groups text: some Collection<UInt8>) {
    let bytes = Array(text)
    let colon = UInt8(ascii: ":")
    let gap = bytes.indices.dropLast().first { bytes[$0] == colon && bytes[$0 + 1] == colon }
    guard var groups = Self.groups(bytes[..<(gap ?? bytes.count)], mayEndInIPv4: gap == nil) else {
      return nil
    }
    if let gap {
      guard let tail = Self.groups(bytes[(gap + 2)...], mayEndInIPv4: true),
        // It stands for one group or more (RFC 4291, section 2.2).
        groups.count + tail.count < 8
      else { return nil }
      groups += Array(repeating: 0, count: 8 - groups.count - tail.count) + tail
    }
    guard groups.count == 8 else { return nil }
    self.init(high: Self.number(groups[..<4]), low: Self.number(groups[4...]))
  }

  private static func groups(_ text: ArraySlice<UInt8>, mayEndInIPv4: Bool) -> [Group]? {
    guard !text.isEmpty else { return [] }
    let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    var groups: [Group] = []
    for (index, part) in parts.enumerated() {
      if let group = hexadecimal(part) {
        groups.append(group)
      } else if mayEndInIPv4, index == parts.count - 1, let number = dottedDecimal(part) {
        groups += [Group(number >> 16), Group(truncatingIfNeeded: number)]
      } else {
        return nil
      }
    }
    return groups
  }

  private static func number(_ groups: ArraySlice<Group>) -> UInt64 {
    groups.reduce(0) { $0 << 16 | UInt64($1) }
  }

  private static func hexadecimal(_ digits: some Collection<UInt8>) -> Group? {
    guard (1...4).contains(digits.count) else { return nil }
    var value: Group = 0
    for digit in digits {
      switch digit {
      case 0x30...0x39: value = value << 4 | Group(digit - 0x30)
      case 0x41...0x46: value = value << 4 | Group(digit - 0x37)
      case 0x61...0x66: value = value << 4 | Group(digit - 0x57)
      default: return nil
      }
    }
    return value
  }

  private var groups: [Group] {
    (0..<8).map { Group(truncatingIfNeeded: ($0 < 4 ? high : low) >> UInt64(48 - $0 % 4 * 16)) }
  }

  /// RFC 5952, section 4: small letters, no leading zeros, `::` for the longest run of two zero
  /// groups or more, the first of equal ones.
  private var groupText: String {
    let groups = groups
    var gap = 0..<0
    for start in 0..<8 {
      let end = groups[start...].firstIndex { $0 != 0 } ?? 8
      if end - start >= 2, end - start > gap.count { gap = start..<end }
    }
    let texts = groups.map { String($0, radix: 16) }
    guard !gap.isEmpty else { return texts.joined(separator: ":") }
    return texts[..<gap.lowerBound].joined(separator: ":") + "::"
      + texts[gap.upperBound...].joined(separator: ":")
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
