// An input read as a list of choices: where a target is more than one parser, mutated bytes are
// mutated choices, and no input is refused.

import Wire

/// Choices, taken one after the other; behind the end all of them are 0.
struct Script {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ input: RawSpan) {
    bytes = (0..<input.byteCount).map { input.byte(at: $0) }
  }

  var isAtEnd: Bool { offset >= bytes.count }

  /// The bytes that were not taken.
  var rest: [UInt8] { Array(bytes[offset...]) }

  mutating func byte() -> UInt8 {
    guard !isAtEnd else { return 0 }
    defer { offset += 1 }
    return bytes[offset]
  }

  mutating func word() -> UInt16 { UInt16(byte()) << 8 | UInt16(byte()) }

  mutating func long() -> UInt32 { UInt32(word()) << 16 | UInt32(word()) }

  /// A number in 0..<`count`, 0 where there is none.
  mutating func choice(of count: Int) -> Int {
    let choice = Int(byte())
    return count > 0 ? choice % count : 0
  }

  /// A number of up to 16 bits: small ones take one byte.
  mutating func size() -> Int {
    let small = Int(byte())
    return small < 0xF0 ? small : Int(word())
  }

  /// How far from right a number is to be: mostly not at all.
  mutating func error() -> UInt32 {
    let kind = byte()
    switch kind {
    case 0..<0x80: return 0
    case 0x80..<0xF0: return UInt32(bitPattern: Int32(kind) - 0xB8)
    default: return long()
    }
  }

  /// The next `count` bytes, fewer at the end.
  mutating func take(_ count: Int) -> [UInt8] {
    let end = min(bytes.count, offset + count)
    defer { offset = end }
    return Array(bytes[offset..<end])
  }
}

/// The bytes of a number in network byte order.
func octets<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
  stride(from: Number.bitWidth - 8, through: 0, by: -8).map {
    UInt8(truncatingIfNeeded: number >> Number($0))
  }
}
