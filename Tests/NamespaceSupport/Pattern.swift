// The contents of test datagrams: each has its number, and every byte behind that follows from the
// number and the load's seed. So loss, damage, duplication and disorder can all be told apart.
//
//    0        8
//   +--------+----------------
//   | number | pattern …         (host byte order: both ends are this machine)
//   +--------+----------------

/// A small fast random number generator (SplitMix64), so that a seed tells a whole test.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// A generator; the same seed gives the same numbers.
  public init(seed: UInt64) { state = seed }

  /// The next number.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return mix(state)
  }
}

func mix(_ number: UInt64) -> UInt64 {
  var mixed = number
  mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
  mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
  return mixed ^ (mixed >> 31)
}

/// Writes and recognises the datagrams of one load.
struct Pattern {
  static let headerByteCount = 8
  let seed: UInt64

  func write(_ number: UInt64, into bytes: inout MutableRawSpan) {
    bytes.storeBytes(of: number, toByteOffset: 0, as: UInt64.self)
    var word = mix(seed ^ mix(number))
    var offset = Self.headerByteCount
    while offset &+ 8 <= bytes.byteCount {
      bytes.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
      word = next(word)
      offset &+= 8
    }
    while offset < bytes.byteCount {
      bytes.storeBytes(of: UInt8(truncatingIfNeeded: word), toByteOffset: offset, as: UInt8.self)
      word >>= 8
      offset &+= 1
    }
  }

  /// The number of a datagram that is whole; nil where any byte is wrong.
  func read(_ bytes: RawSpan) -> UInt64? {
    guard bytes.byteCount >= Self.headerByteCount else { return nil }
    let number = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt64.self)
    var word = mix(seed ^ mix(number))
    var offset = Self.headerByteCount
    while offset &+ 8 <= bytes.byteCount {
      guard unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self) == word
      else { return nil }
      word = next(word)
      offset &+= 8
    }
    while offset < bytes.byteCount {
      guard
        unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
          == UInt8(truncatingIfNeeded: word)
      else { return nil }
      word >>= 8
      offset &+= 1
    }
    return number
  }

  private func next(_ word: UInt64) -> UInt64 { word &* 0x5851_F42D_4C95_7F2D &+ 1 }
}
