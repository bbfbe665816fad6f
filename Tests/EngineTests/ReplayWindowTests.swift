import Samples
import Testing
import Wire

@testable import Engine

/// The rules of the window, with a set of everything that was ever seen.
private struct NaiveWindow {
  var next: UInt64 = 0
  var seen: Set<UInt64> = []

  func isNew(_ number: UInt64) -> Bool {
    number >= next || next - number <= ReplayWindow.width && !seen.contains(number)
  }

  mutating func mark(_ number: UInt64) {
    seen.insert(number)
    next = max(next, number + 1)
  }
}

@Suite struct ReplayWindowTests {
  /// A window that has just seen this number.
  private static func window(at number: UInt64) -> ReplayWindow {
    var window = ReplayWindow()
    window.mark(number)
    return window
  }

  @Test func widthIsTheOneOfTheProtocol() {
    #expect(ReplayWindow.width == 2048)
    let window = Self.window(at: 10_000)
    #expect(window.isNew(10_000) == false)
    #expect(window.isNew(10_000 - 2047) == true)
    #expect(window.isNew(10_000 - 2048) == false)
    #expect(window.isNew(0) == false)
    #expect(window.isNew(10_001) == true)
  }

  /// Random steps, repeats around the edge, and jumps over more than the ring. Some frames do not open,
  /// and may come again.
  @Test(arguments: UInt64(1)...4) func agreesWithASet(_ seed: UInt64) {
    var random = SplitMix64Samples(seed: seed)
    var window = ReplayWindow()
    var naive = NaiveWindow()
    var repeats = 0
    for _ in 0..<300_000 {
      let number: UInt64
      switch Int.random(in: 0..<1000, using: &random) {
      case 0..<400: number = naive.next
      case 400..<600: number = naive.next &- UInt64.random(in: 1...100, using: &random)
      case 600..<800: number = naive.next &- UInt64.random(in: 1...2200, using: &random)
      case 800..<900: number = naive.next &- UInt64.random(in: 2040...2056, using: &random)
      case 900..<990: number = naive.next + UInt64.random(in: 0...200, using: &random)
      case 990..<998: number = naive.next + UInt64.random(in: 1900...2400, using: &random)
      default: number = naive.next + UInt64.random(in: 0...100_000, using: &random)
      }
      // Below zero.
      guard number < 1 << 40 else { continue }
      let isNew = window.isNew(number)
      guard isNew == naive.isNew(number) else {
        Issue.record("\(number) where \(naive.next) is next")
        return
      }
      if !isNew { repeats += 1 }
      guard isNew, Int.random(in: 0..<10, using: &random) > 0 else { continue }
      window.mark(number)
      naive.mark(number)
      #expect(window.next == naive.next)
    }
    #expect(repeats > 20_000)
    #expect(naive.next > 10_000_000)
  }

  /// Jumps of every size around the ring's: nothing of a former round counts as seen.
  @Test func jumps() {
    for jump in UInt64(1)...2300 {
      var window = ReplayWindow()
      for number in UInt64(0)..<130 { window.mark(number) }
      window.mark(129 + jump)
      let lowest = 129 + jump >= 2047 ? 129 + jump - 2047 : 0
      for number in lowest..<129 + jump where number >= 130 {
        guard window.isNew(number) else {
          Issue.record("\(number) after a jump by \(jump)")
          return
        }
      }
      #expect(window.isNew(129) == false)
      #expect(window.isNew(129 + jump) == false)
    }
  }
}

@Suite struct ReplayWindowNumberTests {
  /// Where the next expected number may stand: around 2^31, 2^32 and beyond.
  private static let places: [UInt64] = [
    1, 2, 2048, 1 << 31 - 1, 1 << 31, 1 << 31 + 1, 1 << 32 - 1, 1 << 32, 1 << 32 + 1,
    3 << 31, 1 << 33, 7 << 32 - 3, 1 << 40 + 5,
  ]

  private static func window(expecting next: UInt64) -> ReplayWindow {
    var window = ReplayWindow()
    window.mark(next - 1)
    return window
  }

  private static func low(_ number: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: number) }

  /// Both ways, up to half the range of 32 bits.
  @Test(arguments: places) func closeNumbersComeBack(_ next: UInt64) {
    let window = Self.window(expecting: next)
    for distance in [0, 1, 2, 2047, 2048, 1 << 20, 1 << 31 - 1] as [UInt64] {
      #expect(window.expand(Self.low(next + distance)) == next + distance)
      guard next >= distance else { continue }
      #expect(window.expand(Self.low(next - distance)) == next - distance)
    }
    if next >= 1 << 31 { #expect(window.expand(Self.low(next - 1 << 31)) == next - 1 << 31) }
  }

  @Test func firstFrameOfAll() {
    let window = ReplayWindow()
    #expect(window.expand(0) == 0)
    #expect(window.expand(7) == 7)
    #expect(window.expand(.max) == UInt64(UInt32.max), "nothing lies below zero")
  }

  /// Of all numbers with these low bits the closest, the lower of two.
  @Test(arguments: places) func agreesWithASearch(_ next: UInt64) {
    var random = SplitMix64Samples(seed: next)
    let window = Self.window(expecting: next)
    for _ in 0..<20_000 {
      let low = UInt32(truncatingIfNeeded: random.next())
      let rounds = (next >> 32 == 0 ? 0 : next >> 32 - 1)...next >> 32 + 1
      let candidates = rounds.map { $0 << 32 | UInt64(low) }
      let closest = candidates.min { distance($0, next) < distance($1, next) }
      #expect(window.expand(low) == closest)
    }
  }

  private func distance(_ one: UInt64, _ other: UInt64) -> UInt64 {
    max(one, other) - min(one, other)
  }
}
