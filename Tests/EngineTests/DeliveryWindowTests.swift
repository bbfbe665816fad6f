import Testing
import Wire

@testable import Engine

/// Which datagrams were delivered: each number once, whatever comes when.
@Suite struct DeliveryWindowTests {
  private static func moment(_ milliseconds: Int64) -> Instant {
    Instant(nanoseconds: 1_000_000_000 + milliseconds * 1_000_000)
  }

  private static func wire(_ number: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: number) & FragmentHeader.datagramMask
  }

  /// Two channels, of which one is up to 100 ms behind, at 10,000 a second across a wrap: what is taken
  /// was never taken before, and nothing is missing that came within the window.
  @Test(arguments: [0, 50, 100, 190]) func eachOnce(behind: Int) {
    var window = DeliveryWindow()
    let first = Int(FragmentHeader.datagramMask) - 20_000
    var taken: Set<Int> = []
    for step in 0..<40_000 {
      let now = Self.moment(Int64(step / 10))
      // The fast channel loses every tenth.
      if step % 10 != 0, window.take(Self.wire(first + step), at: now) {
        #expect(taken.insert(step).inserted)
      }
      let late = step - behind * 10
      guard late >= 0 else { continue }
      let isNew = window.isNew(Self.wire(first + late), at: now)
      let isTaken = window.take(Self.wire(first + late), at: now)
      #expect(isNew == isTaken)
      if isTaken { #expect(taken.insert(late).inserted) }
    }
    #expect(taken.count >= 40_000 - behind)
  }

  /// A copy that is too old is not taken for a new count, however many follow each other.
  @Test func oldCopies() {
    var window = DeliveryWindow()
    for number in 0..<5_000 {
      #expect(window.take(Self.wire(number), at: Self.moment(Int64(number / 10))) == true)
    }
    for number in 0..<1_000 {
      let now = Self.moment(500 + Int64(number / 10))
      #expect(!window.isNew(Self.wire(number), at: now))
      #expect(window.take(Self.wire(number), at: now) == false)
      // New ones go on in between.
      #expect(window.take(Self.wire(5_000 + number), at: now) == true)
    }
  }

  /// The peer has started anew, or much was lost: after a pause its numbers count.
  @Test(arguments: [12_000_000, 9_500, 3_000, 0]) func newCount(from start: Int) {
    var window = DeliveryWindow()
    for number in 5_000..<10_000 {
      #expect(window.take(Self.wire(number), at: Self.moment(0)) == true)
    }
    let isKnown = (8_017..<10_000).contains(start)
    #expect(window.take(Self.wire(start), at: Self.moment(249)) == false)
    #expect(window.take(Self.wire(start), at: Self.moment(250)) == !isKnown)
    #expect(window.take(Self.wire(start), at: Self.moment(250)) == false)
    #expect(window.take(Self.wire(start + 600), at: Self.moment(250)) == true)
  }
}
