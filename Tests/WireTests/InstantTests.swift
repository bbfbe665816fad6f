import Testing
import Wire

@Suite struct InstantTests {
  @Test func sumsAndDifferencesAgree() {
    let start = Instant(nanoseconds: 1_000)
    let later = start + .milliseconds(300)
    #expect(later.nanoseconds == 300_001_000)
    #expect(later - start == .milliseconds(300))
    #expect(later - Duration.milliseconds(300) == start)
    #expect(start < later)
  }

  @Test func sumSaturatesAtTheEnd() {
    #expect(Instant.distantFuture + .seconds(1) == .distantFuture)
    #expect(Instant(nanoseconds: 5) < .distantFuture)
  }

  @Test(
    arguments: [
      (.seconds(2), 2_000_000_000), (.milliseconds(-1), -1_000_000), (.zero, 0),
      (Duration(secondsComponent: 0, attosecondsComponent: 1_999_999_999), 1),
    ] as [(Duration, Int64)])
  func durationsAreWholeNanoseconds(duration: Duration, nanoseconds: Int64) {
    #expect(duration.wholeNanoseconds == nanoseconds)
  }
}
