// When a loop is told, and when not.

import Testing
import Wire

@testable import Driver

@Suite("Loops") struct LoopWatchTests {
  static let start = Instant(nanoseconds: 1_000_000_000_000)

  /// How many segments it took until a loop was told; nil where none was. `app` says, behind each segment
  /// at that time, when an app sends.
  private static func segments(
    every interval: Duration, for count: Int, app: (Instant) -> [Instant]
  ) -> Int? {
    var watch = LoopWatch(at: start)
    for number in 1...count {
      let now = start + interval * number
      for moment in app(now - interval) where moment < now {
        if watch.appSent(isOurs: false, at: moment) { return number }
      }
      watch.sent(at: now)
    }
    return nil
  }

  @Test("Echoes of 16 segments in a row show it") func echo() {
    let found = Self.segments(every: .milliseconds(300), for: 100) { [$0 + .milliseconds(2)] }
    // Three segments and more are sent before a second of silence is over.
    #expect(found.map { (16...22).contains($0) } == true)
  }

  @Test("A segment of ours from an app shows it at once") func content() {
    var watch = LoopWatch(at: Self.start)
    let early = Self.start + .milliseconds(999)
    #expect(watch.appSent(isOurs: true, at: early) == false)
    let now = Self.start + .seconds(1)
    #expect(watch.appSent(isOurs: true, at: now) == true)
    // It was told.
    #expect(watch.appSent(isOurs: true, at: now + .seconds(5)) == false)
    watch.heard(at: now + .seconds(10))
    #expect(watch.appSent(isOurs: true, at: now + .seconds(11)) == true)
  }

  @Test("Apps that know nothing of us do not", arguments: [1, 3, 7, 11, 20, 100])
  func otherApps(milliseconds: Int) {
    // Phases against the segments drift by a prime.
    let found = Self.segments(every: .milliseconds(307), for: 2000) { from in
      let step = Int64(milliseconds) * 1_000_000
      let first = (from.nanoseconds / step + 1) * step
      return stride(from: first, to: from.nanoseconds + 307_000_000, by: Int64.Stride(step)).map {
        Instant(nanoseconds: $0)
      }
    }
    #expect(found == nil)
  }

  @Test("Late echoes, and echoes of a tunnel that is heard, do not") func lateOrHeard() {
    #expect(Self.segments(every: .milliseconds(300), for: 500) { [$0 + .milliseconds(20)] } == nil)
    var watch = LoopWatch(at: Self.start)
    for number in 1...500 {
      let now = Self.start + .milliseconds(500) * number
      watch.heard(at: now - .milliseconds(1))
      watch.sent(at: now)
      #expect(watch.appSent(isOurs: true, at: now + .milliseconds(1)) == false)
    }
  }
}
