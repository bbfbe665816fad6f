// The Internet checksum (RFC 1071), fast enough to run over every byte where no hardware does.

/// A running Internet checksum: a one's complement sum of 16-bit words.
public struct Checksum: Sendable {
  // Big-endian words, and numbers of 32 bits, summed with end-around carry deferred: at most 2^32
  // of them fit.
  @usableFromInline var sum: UInt64

  /// A sum of nothing.
  @inlinable public init() { sum = 0 }

  /// Adds one 16-bit word.
  @inlinable @inline(__always)
  public mutating func add(_ word: UInt16) { sum &+= UInt64(word) }

  /// Adds a 32-bit number: two words.
  @inlinable @inline(__always)
  public mutating func add(_ number: UInt32) {
    sum &+= UInt64(number >> 16) &+ UInt64(number & 0xFFFF)
  }

  /// Adds a 64-bit number: four words, as two numbers of 32 bits, which are the same modulo 2^16-1.
  @inlinable @inline(__always)
  public mutating func add(_ number: UInt64) {
    sum &+= (number >> 32) &+ (number & 0xFFFF_FFFF)
  }

  /// Adds bytes. They start at an even offset of what is summed, so a piece of odd length can
  /// only be the last one; it is padded with a zero byte (RFC 1071, section 4.1).
  @inlinable
  public mutating func add(_ bytes: RawSpan) {
    // Eight bytes at a time in host order; the byte order of a one's complement sum may be
    // changed after summing (RFC 1071, section 2 B).
    var wide: UInt64 = 0
    var offset = 0
    while offset &+ 8 <= bytes.byteCount {
      let (partial, carry) = wide.addingReportingOverflow(
        unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
      wide = partial &+ (carry ? 1 : 0)
      offset &+= 8
    }
    let folded = Self.fold((wide >> 32) &+ (wide & 0xFFFF_FFFF))
    sum &+= UInt64(UInt16(bigEndian: folded))
    while offset &+ 2 <= bytes.byteCount {
      add(bytes.be16(at: offset))
      offset &+= 2
    }
    if offset < bytes.byteCount { add(UInt16(bytes.byte(at: offset)) << 8) }
  }

  /// Adds bytes that start at `offset` of what is summed, so that pieces of odd length can be added
  /// one after the other: at an odd offset every byte counts in the other half of its word, and a
  /// sum of swapped words is the swapped sum (RFC 1071, section 2 B).
  @inlinable
  public mutating func add(_ bytes: RawSpan, at offset: Int) {
    guard offset & 1 == 1 else { return add(bytes) }
    var shifted = Checksum()
    shifted.add(bytes)
    add(shifted.partial.byteSwapped)
  }

  /// Adds the TCP or UDP pseudo-header of IPv4 (RFC 9293, section 3.1) or IPv6 (RFC 8200, section
  /// 8.1): the same fields in other places. The ffff in front of a mapped IPv4 address is a zero of
  /// one's complement.
  @inlinable
  public mutating func addPseudoHeader(
    source: IPAddress, destination: IPAddress, protocolNumber: UInt8, length: Int
  ) {
    add(source)
    add(destination)
    add(UInt16(protocolNumber))
    add(UInt32(truncatingIfNeeded: length))
  }

  @inlinable @inline(__always)
  mutating func add(_ address: IPAddress) {
    add(address.high)
    add(address.low)
  }

  /// The sum in 16 bits, not complemented: what `VIRTIO_NET_HDR_F_NEEDS_CSUM` wants of a
  /// pseudo-header.
  @inlinable public var partial: UInt16 { Self.fold(sum) }

  /// The checksum as it stands in a header. A correct header sums to 0 here.
  @inlinable public var value: UInt16 { ~Self.fold(sum) }

  @inlinable @inline(__always)
  static func fold(_ sum: UInt64) -> UInt16 {
    var rest = sum
    while rest >> 16 != 0 { rest = (rest >> 16) &+ (rest & 0xFFFF) }
    return UInt16(truncatingIfNeeded: rest)
  }
}
