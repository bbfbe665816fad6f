import Testing
import Wire

@testable import Engine

/// When what is spread may go.
@Suite struct PaceTests {
  private static func moment(_ milliseconds: Int) -> Instant {
    Instant(nanoseconds: Int64(milliseconds) * 1_000_000)
  }

  /// 100 kB were sent in the second before 0: a pace of 110 kB/s.
  private static func begun() -> Pace {
    Pace(load: 100_000, since: moment(-1000), at: moment(0))
  }

  /// What a channel may carry by now, and no more at once than in 10 ms.
  @Test func room() {
    var pace = Self.begun()
    #expect(pace.room(above: 100_000, at: Self.moment(0)) == 0)
    #expect(abs(pace.room(above: 100_000, at: Self.moment(4)) - 440) < 1)
    #expect(abs(pace.room(above: 100_000, at: Self.moment(5000)) - 1100) < 1)
    #expect(abs(pace.room(above: 102_200, at: Self.moment(5000)) + 1100) < 1)
    let wait = pace.wait(for: -1100)
    #expect(wait > .microseconds(9999) && wait <= .milliseconds(10))
    #expect(pace.wait(for: 1) == .zero)
    pace.restart(at: Self.moment(5000))
    #expect(abs(pace.room(above: 0, at: Self.moment(5004)) - 440) < 1)
  }

  /// What waits is gone after 100 ms, however much it is.
  @Test func patience() {
    var pace = Self.begun()
    pace.note(backlog: 50_000)
    pace.note(backlog: 30_000)
    #expect(pace.isSmoothing)
    #expect(abs(pace.room(above: 100_000, at: Self.moment(4)) - 2000) < 1)
    pace.note(backlog: 0)
    #expect(abs(pace.room(above: 102_000, at: Self.moment(8)) - 440) < 1)
  }

  /// It follows what is sent.
  @Test func measured() {
    var pace = Self.begun()
    pace.note(backlog: 0)
    for second in 1...30 {
      pace.measure(load: 100_000 + Double(second) * 200_000, at: Self.moment(1000 * second))
    }
    #expect(!pace.isSmoothing)
    pace.restart(at: Self.moment(30_000))
    #expect(abs(pace.room(above: 0, at: Self.moment(30_010)) - 2200) < 1)
  }
}
