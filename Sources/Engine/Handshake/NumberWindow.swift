// The numbers of received frames: which are new, which came before.

internal import Wire

/// A sliding window over 24-bit frame numbers, in the form of RFC 6479: a ring of blocks of bits.
/// A frame older than the window counts as seen.
struct NumberWindow: Sendable {
  /// How far behind the highest number a frame may still come.
  static let width = blockCount * 64 - 64
  /// How far ahead of the highest number the next may be. Beyond, and behind the window, two in
  /// sequence are needed: one damaged number must not make all that follow look old (RFC 3550,
  /// appendix A.1).
  static let dropout = 4096
  private static let blockCount = 32

  private var blocks: InlineArray<32, UInt64> = .init(repeating: 0)
  private(set) var highest: UInt32 = FrameHeader.numberMask
  private var candidate: UInt32?

  /// Whether the frame is new; it is seen from then on.
  mutating func accept(_ number: UInt32) -> Bool {
    guard reaches(number) else {
      guard candidate == number else {
        candidate = (number &+ 1) & FrameHeader.numberMask
        return false
      }
      restart(at: number)
      return true
    }
    candidate = nil
    return mark(number)
  }

  /// Whether a number is neither behind the window nor far ahead of it.
  func reaches(_ number: UInt32) -> Bool {
    let ahead = distance(to: number)
    return ahead <= Self.dropout && ahead > -Self.width
  }

  /// Whether a number that the window reaches was not seen.
  func isNew(_ number: UInt32) -> Bool {
    guard reaches(number) else { return false }
    return distance(to: number) > 0
      || blocks[Int(number >> 6) % Self.blockCount] & (1 << UInt64(number & 63)) == 0
  }

  /// Notes a number that the window reaches; false where it was seen.
  @discardableResult
  mutating func mark(_ number: UInt32) -> Bool {
    let ahead = distance(to: number)
    if ahead > 0 { advance(to: number, by: ahead) }
    return insert(number)
  }

  /// Signed distance from the highest number, in -2^23..<2^23.
  private func distance(to number: UInt32) -> Int {
    Int(Int32(bitPattern: (number &- highest) << 8) >> 8)
  }

  private mutating func advance(to number: UInt32, by ahead: Int) {
    let first = highest >> 6
    // Block indices live in 18 bits (24 less 6), a multiple of the ring's size.
    let count = min(Int(((number >> 6) &- first) & 0x3FFFF), Self.blockCount)
    for step in 0..<count {
      blocks[Int(first &+ 1 &+ UInt32(step)) % Self.blockCount] = 0
    }
    highest = number
  }

  private mutating func insert(_ number: UInt32) -> Bool {
    let block = Int(number >> 6) % Self.blockCount
    let bit: UInt64 = 1 << UInt64(number & 63)
    guard blocks[block] & bit == 0 else { return false }
    blocks[block] |= bit
    return true
  }

  /// Forgets all numbers but this one.
  mutating func restart(at number: UInt32) {
    self = NumberWindow()
    highest = number
    _ = insert(number)
  }
}
