import Samples
import Testing
import Wire

@testable import Engine

/// The rules of the window, with a set of everything that was ever seen.
private struct NaiveWindow {
  var highest = -1
  var seen: Set<Int> = []
  var candidate: Int?

  /// Numbers that never wrap stand for the 24 bits on the wire.
  mutating func accept(_ number: Int) -> Bool {
    let ahead = number - highest
    if ahead > NumberWindow.dropout || ahead <= -NumberWindow.width {
      if candidate != number {
        candidate = number + 1
        return false
      }
      seen = []
      highest = number
      candidate = nil
    } else {
      candidate = nil
      highest = max(highest, number)
    }
    return seen.insert(number).inserted
  }
}

@Suite struct NumberWindowTests {
  private static func wire(_ number: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: number) & FrameHeader.numberMask
  }

  /// Random steps, from repeats to jumps, across several wraps.
  @Test(arguments: UInt64(1)...4) func agreesWithASet(_ seed: UInt64) {
    var random = SplitMix64Samples(seed: seed)
    var window = NumberWindow()
    var naive = NaiveWindow()
    var next = 0
    for _ in 0..<400_000 {
      let number: Int
      switch Int.random(in: 0..<1000, using: &random) {
      case 0..<500:
        number = next
        next += 1
      case 500..<700: number = next - Int.random(in: 1...100, using: &random)
      case 700..<900: number = next - Int.random(in: 1...2200, using: &random)
      case 900..<999:
        next += Int.random(in: 0...3000, using: &random)
        number = next
      default:
        next += Int.random(in: 0...60_000, using: &random)
        number = next
      }
      guard number >= 0 else { continue }
      #expect(window.accept(Self.wire(number)) == naive.accept(number))
    }
    #expect(next > 3 << 24)
  }

  @Test func repeatsAcrossTheWrap() {
    var window = NumberWindow()
    let wrap = 1 << 24
    // Walk there in steps that the window follows.
    for number in stride(from: 0, to: wrap - 500, by: 4000) {
      _ = window.accept(Self.wire(number))
    }
    for number in wrap - 500..<wrap + 500 { #expect(window.accept(Self.wire(number)) == true) }
    for number in wrap - 500..<wrap + 500 { #expect(window.accept(Self.wire(number)) == false) }
  }

  /// One number ahead that was believed makes what follows look old, but not for long.
  @Test func recoversFromADamagedNumber() {
    var window = NumberWindow()
    for number in UInt32(0)..<100 { #expect(window.accept(number) == true) }
    #expect(window.accept(100 + 4000) == true)
    #expect(window.accept(100) == false)
    #expect(window.accept(101) == true)
    #expect(window.accept(102) == true)
  }

  /// One number far ahead is not believed; two in sequence are.
  @Test func resynchronizes() {
    var window = NumberWindow()
    for number in UInt32(0)..<100 { #expect(window.accept(number) == true) }
    #expect(window.accept(5_000_000) == false)
    #expect(window.accept(100) == true)
    #expect(window.accept(5_000_001) == false)
    #expect(window.accept(3_000_000) == false)
    #expect(window.accept(5_000_001) == false)
    #expect(window.accept(5_000_002) == true)
    #expect(window.accept(5_000_002) == false)
    #expect(window.accept(5_000_003) == true)
    #expect(window.accept(101) == false)
  }

  @Test func width() {
    var window = NumberWindow()
    #expect(window.accept(4_000) == true)
    #expect(window.accept(4_000 - UInt32(NumberWindow.width) + 1) == true)
    #expect(window.accept(4_000 - UInt32(NumberWindow.width)) == false)
  }
}
