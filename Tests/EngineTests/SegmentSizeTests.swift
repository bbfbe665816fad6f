import Samples
import Testing
import Wire

@testable import Engine

/// How the size of a channel's packets is found, and lost.
@Suite struct SegmentSizeTests {
  /// A path that drops what is larger than its limit, without a word.
  private struct Bench: ~Copyable {
    var sizing: SegmentSize
    var limit: Int
    var now = Instant(nanoseconds: 1_000_000_000)
    /// Of 100 probes so many are lost, of large ones and of others.
    var lossPerCent = (large: 0, small: 0)
    private(set) var probes = 0
    private var random = SplitMix64Samples(seed: 5)
    private var token: UInt32 = 0

    init(ceiling: Int, limit: Int, floor: Int = 552) {
      self.limit = limit
      sizing = SegmentSize(ceiling: ceiling, floor: floor, at: now)
    }

    /// Sends the round that is due; its answers come 20 ms later.
    mutating func round() {
      now = max(now, sizing.deadline)
      token += 2
      guard let round = sizing.nextRound(token: token, timeout: .milliseconds(250), at: now) else {
        return
      }
      now = now + .milliseconds(20)
      for (token, size) in [(round.token, round.size), (round.token ^ 1, round.smaller)] {
        probes += 1
        let loss = SegmentSize.isLarge(size) ? lossPerCent.large : lossPerCent.small
        let isLost = Int.random(in: 0..<100, using: &random) < loss
        // The answer to the first may have ended the question.
        if size <= limit, !isLost { _ = sizing.answered(token, at: now) }
      }
    }

    mutating func settle() {
      for _ in 0..<200 where !sizing.isSettled { round() }
      #expect(sizing.isSettled)
    }

    /// Large packets go out for so long, four each 10 ms, and reports come back.
    mutating func stream(for duration: Duration) {
      let end = now + duration
      var reportAt = now + .milliseconds(200)
      while now < end {
        if SegmentSize.isLarge(sizing.size) {
          _ = sizing.noteLarge(sizing.size, count: 4, patience: 250_000_000, at: now)
        }
        if sizing.deadline <= now { round() }
        if reportAt <= now {
          if sizing.size <= limit { sizing.reported(sizing.size, at: now) }
          reportAt = now + .milliseconds(200)
        }
        now = now + .milliseconds(10)
      }
    }

    /// Whether a check of the size in use says that it does not fit.
    mutating func isRefuted() -> Bool {
      let size = sizing.size
      now = now + .seconds(2)
      let isAsked = sizing.check(at: now)
      #expect(isAsked)
      while sizing.deadline <= now + .seconds(1), sizing.size == size { round() }
      return sizing.size < size
    }
  }

  @Test(
    arguments: [
      // limit of the path, size found: MTUs that links have are found exactly
      (1500, 1500), (1492, 1492), (1480, 1480), (1454, 1454), (1440, 1440), (1420, 1420),
      (1400, 1400), (1399, 1360), (1280, 1280), (1279, 1200), (1005, 576), (560, 552),
    ])
  func findsWhatThePathCarries(limit: Int, size: Int) {
    var bench = Bench(ceiling: 1500, limit: limit)
    #expect(bench.sizing.size == 1280, "until more is known")
    bench.settle()
    #expect(bench.sizing.size == size)
    #expect(bench.probes <= (limit == 1500 ? 2 : 80), "\(bench.probes) probes")
    #expect(bench.now < Instant(nanoseconds: 4_000_000_000))
  }

  @Test(arguments: [(9000, 9000), (9000, 1500), (8960, 4400), (65_535, 65_535)])
  func jumboFrames(ceiling: Int, limit: Int) {
    var bench = Bench(ceiling: ceiling, limit: limit)
    bench.settle()
    #expect(bench.sizing.size <= limit)
    #expect(bench.sizing.size >= min(limit, 4352))
  }

  @Test func aSmallCeilingIsConfirmedToo() {
    var bench = Bench(ceiling: 1280, limit: 1200)
    bench.settle()
    #expect(bench.sizing.size == 1200)
    var tiny = Bench(ceiling: 400, limit: 400)
    tiny.settle()
    #expect(tiny.sizing.size == 400)
  }

  @Test func nothingIsBelowTheFloor() {
    var bench = Bench(ceiling: 1500, limit: 552)
    bench.settle()
    #expect(bench.sizing.size == 552)
    var six = Bench(ceiling: 1500, limit: 1300, floor: 1280)
    six.settle()
    #expect(six.sizing.size == 1280)
  }

  /// Nothing at all comes back: that is no matter of size, and the search ends without a result.
  @Test func silenceTellsNothing() {
    var bench = Bench(ceiling: 1500, limit: 0)
    bench.settle()
    #expect(bench.sizing.size == 1280)
    #expect(bench.probes <= 2 * 42)
    bench.limit = 1500
    bench.round()
    #expect(bench.sizing.size == 1500)
  }

  /// Whatever is lost by chance, the ceiling is found in the end.
  @Test(arguments: [10, 50, 80]) func lossIsNoLimit(perCent: Int) {
    var bench = Bench(ceiling: 1500, limit: 1500)
    bench.lossPerCent = (perCent, perCent)
    bench.settle()
    let end = bench.now + .seconds(60)
    while bench.now < end, bench.sizing.size < 1500 { bench.round() }
    #expect(bench.sizing.size == 1500)
  }

  /// Of checks on a path that carries the size, one in 250 goes wrong at worst; and one in 25 where a
  /// policer leaves large packets half the chance of small ones. Reports are what prevents those checks.
  @Test(arguments: [(30, 30, 8), (60, 60, 8), (90, 90, 8), (80, 60, 50), (60, 20, 50)])
  func chanceRarelyRefutes(large: Int, small: Int, perMille: Int) {
    var wrong = 0
    var bench = Bench(ceiling: 1500, limit: 1500)
    for _ in 0..<1000 {
      bench.lossPerCent = (0, 0)
      while bench.sizing.size < 1500 || !bench.sizing.isSettled { bench.round() }
      bench.lossPerCent = (large, small)
      if bench.isRefuted() { wrong += 1 }
    }
    #expect(wrong <= perMille, "\(wrong) of 1000")
  }

  /// The path shrinks: within a second the size is one that passes.
  @Test func shrinkingPath() {
    var bench = Bench(ceiling: 1500, limit: 1500)
    bench.settle()
    bench.stream(for: .seconds(5))
    #expect(bench.sizing.size == 1500)
    #expect(bench.probes == 2, "what reports confirm needs no probes")
    bench.limit = 1400
    bench.stream(for: .seconds(1))
    #expect(bench.sizing.size <= 1400)
    bench.stream(for: .seconds(2))
    #expect(bench.sizing.size == 1400)
    // It grows again, and is found by the next search.
    bench.limit = 1500
    bench.stream(for: .seconds(12))
    #expect(bench.sizing.size == 1500)
  }

  /// A path that drops a size for good is asked for it less and less often.
  @Test func searchesGrowRare() {
    var bench = Bench(ceiling: 1500, limit: 1400)
    bench.settle()
    var pauses: [Int] = []
    for _ in 0..<9 {
      pauses.append(Int((bench.sizing.deadline - bench.now).components.seconds))
      bench.round()
      bench.settle()
      #expect(bench.sizing.size == 1400)
    }
    #expect(pauses == [4, 8, 16, 32, 64, 128, 256, 512, 600])
  }

  /// A report confirms what was sent, not what is larger than anything in it.
  @Test func reportsConfirmTheirSize() {
    var bench = Bench(ceiling: 1500, limit: 1400)
    bench.sizing = SegmentSize(ceiling: 1500, floor: 552, at: bench.now)
    bench.limit = 1500
    bench.settle()
    bench.limit = 1400
    var isDoubted = false
    for _ in 0..<40 where !isDoubted {
      for size in [1350, 1468] {
        let isDue = bench.sizing.noteLarge(size, count: 4, patience: 250_000_000, at: bench.now)
        isDoubted = isDoubted || isDue
      }
      bench.now = bench.now + .milliseconds(10)
      bench.sizing.reported(1350, at: bench.now)
    }
    #expect(isDoubted)
    // One that has the size ends the check.
    bench.sizing.reported(1468, at: bench.now)
    #expect(bench.sizing.deadline == .distantFuture)
  }

  @Test func routersAreBelievedDownToTheFloor() {
    var bench = Bench(ceiling: 1500, limit: 1500)
    bench.settle()
    bench.limit = 1387
    bench.sizing.tooBig(limit: 1387, at: bench.now)
    #expect(bench.sizing.size == 1387)
    bench.settle()
    #expect(bench.sizing.size == 1387)
    bench.sizing.tooBig(limit: 1450, at: bench.now)
    #expect(bench.sizing.isSettled && bench.sizing.size == 1387, "no news")
    bench.sizing.tooBig(limit: 68, at: bench.now)
    #expect(bench.sizing.size == 552)
    bench.settle()
    // A lie is found out by the next search.
    bench.limit = 1500
    bench.round()
    #expect(bench.sizing.size == 1500)
  }

  @Test func ceilingMoves() {
    var bench = Bench(ceiling: 1500, limit: 1500)
    bench.settle()
    bench.sizing.setCeiling(1400, at: bench.now)
    #expect(bench.sizing.size == 1400)
    bench.settle()
    bench.sizing.setCeiling(1500, at: bench.now)
    #expect(bench.sizing.size == 1400, "until it is confirmed")
    bench.settle()
    #expect(bench.sizing.size == 1500)
  }
}
