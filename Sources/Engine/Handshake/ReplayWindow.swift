// The numbers of sealed frames: which are new, which came before.

internal import Wire

/// A sliding window over 64-bit frame numbers, of which the low 32 bits are on the wire, in the form
/// of RFC 6479: a ring of blocks of bits. A frame older than the window counts as seen.
struct ReplayWindow: Sendable {
  /// How far behind the highest number a frame may still come.
  static let width: UInt64 = UInt64(blockCount - 1) * 64
  private static let blockCount = 33

  private var blocks: InlineArray<33, UInt64> = .init(repeating: 0)
  /// One above the highest number seen.
  private(set) var next: UInt64 = 0

  /// The whole number of a frame: of those with these low bits the one closest to the next expected
  /// (RFC 9000, appendix A.3).
  func expand(_ low: UInt32) -> UInt64 {
    let distance = Int32(bitPattern: low &- UInt32(truncatingIfNeeded: next))
    let number = next &+ UInt64(bitPattern: Int64(distance))
    // Nothing lies below zero.
    return distance < 0 && number > next ? UInt64(low) : number
  }

  /// Whether the frame was not seen and is not too old.
  func isNew(_ number: UInt64) -> Bool {
    guard number < next else { return true }
    guard next &- number <= Self.width else { return false }
    return blocks[Self.block(of: number)] & Self.bit(of: number) == 0
  }

  /// Notes a frame that opened; it is seen from then on.
  mutating func mark(_ number: UInt64) {
    if number >= next { advance(to: number) }
    blocks[Self.block(of: number)] |= Self.bit(of: number)
  }

  private mutating func advance(to number: UInt64) {
    let first = next == 0 ? 0 : (next &- 1) >> 6 &+ 1
    let last = number >> 6
    if first <= last {
      for step in 0..<min(last &- first &+ 1, UInt64(Self.blockCount)) {
        blocks[Int((last &- step) % UInt64(Self.blockCount))] = 0
      }
    }
    next = number &+ 1
  }

  private static func block(of number: UInt64) -> Int { Int((number >> 6) % UInt64(blockCount)) }

  private static func bit(of number: UInt64) -> UInt64 { 1 << (number & 63) }
}
