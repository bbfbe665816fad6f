import Samples
import Testing
import Wire

@testable import Engine

@Suite struct ReplayCacheTests {
  private static func moment(_ seconds: Int64) -> Instant {
    Instant(nanoseconds: seconds * 1_000_000_000)
  }

  private static let memory = ReplayCache.memory.wholeNanoseconds / 1_000_000_000

  /// Longer than a cookie lives, and than a message's time counts, from the earliest moment on.
  @Test func remembersForAsLongAsAMessageCounts() {
    #expect(ReplayCache.memory >= SYNCookie.slotLength * 2)
    #expect(ReplayCache.memory > ReplayCache.clockTolerance * 2)
    for start in [0, 1, 1000, 100_000] as [Int64] {
      var cache = ReplayCache()
      #expect(cache.insert(7, at: Self.moment(start)) == true)
      for second in stride(from: start, to: start + Self.memory, by: 7) {
        #expect(cache.insert(7, at: Self.moment(second)) == false)
      }
      #expect(cache.insert(8, at: Self.moment(start)) == true)
      #expect(cache.insert(7, at: Self.moment(start + Self.memory)) == true)
      #expect(cache.insert(7, at: Self.moment(start + Self.memory + 1)) == false)
    }
  }

  /// The oldest is forgotten where there are too many, and no other.
  @Test func isBounded() {
    var cache = ReplayCache()
    let limit = UInt64(ReplayCache.limit)
    let now = Self.moment(5)
    let accepted = (0..<limit).count { cache.insert($0, at: now) }
    #expect(accepted == ReplayCache.limit)
    #expect(cache.insert(limit, at: now) == true)
    // What is no news makes nothing go.
    let repeats = (1...limit).count { !cache.insert($0, at: now) }
    #expect(repeats == ReplayCache.limit)
    #expect(cache.insert(0, at: now) == true)
    #expect(cache.insert(1, at: now) == true, "the oldest went")
    #expect(cache.insert(3, at: now) == false)
  }

  /// Against a dictionary, for hours, at rates that keep it far from its bound.
  @Test func agreesWithADictionary() {
    var random = SplitMix64Samples(seed: 6)
    var cache = ReplayCache()
    var accepted: [UInt64: Int64] = [:]
    var second: Int64 = 0
    for _ in 0..<200_000 {
      second += Int64.random(in: 0...40, using: &random) / 20
      let message = UInt64.random(in: 0..<500, using: &random)
      let isKnown = accepted[message].map { second < $0 + Self.memory } ?? false
      guard cache.insert(message, at: Self.moment(second)) != isKnown else {
        Issue.record("message \(message) at \(second) s")
        return
      }
      if !isKnown { accepted[message] = second }
    }
    #expect(second > 10_000)
  }
}
