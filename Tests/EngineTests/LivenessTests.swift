import Testing
import Wire

@testable import Engine

@Suite struct LivenessTests {
  private static func moment(_ milliseconds: Int64) -> Instant {
    Instant(nanoseconds: milliseconds * 1_000_000)
  }

  /// Sent and unconfirmed for 250 ms: a probe, and after 200 ms three more, 250 ms apart, then silent.
  @Test func verdict() {
    var liveness = Liveness(at: Self.moment(0))
    #expect(liveness.deadline(silentInterval: .seconds(1)) == .distantFuture)
    #expect(liveness.sent(at: Self.moment(150)) == Self.moment(400))
    #expect(liveness.sent(at: Self.moment(200)) == nil)
    #expect(liveness.deadline(silentInterval: .seconds(1)) == Self.moment(400))
    #expect(liveness.probe(at: Self.moment(400)) == .sendProbe)
    #expect(liveness.health == .healthy)
    for probe in Int64(0)..<3 {
      let due = Self.moment(600 + probe * 250)
      #expect(liveness.deadline(silentInterval: .seconds(1)) == due)
      let verdict = liveness.probe(at: due)
      #expect(verdict == .sendProbe)
      #expect(liveness.health == .doubtful)
    }
    #expect(liveness.probe(at: Self.moment(1350)) == .becameSilent)
    #expect(liveness.health == .silent)
    #expect(liveness.deadline(silentInterval: .seconds(1)) == Self.moment(2350))
    #expect(liveness.probe(at: Self.moment(2350)) == .sendProbe)
    #expect(liveness.health == .silent)
    let wasUnhealthy = liveness.heard(at: Self.moment(2400))
    #expect(wasUnhealthy)
    #expect(liveness.health == .healthy)
    #expect(liveness.deadline(silentInterval: .seconds(1)) == .distantFuture)
  }

  @Test func hearingClearsDoubt() {
    var liveness = Liveness(at: Self.moment(0))
    _ = liveness.sent(at: Self.moment(0))
    for due in [Int64(250), 450] { #expect(liveness.probe(at: Self.moment(due)) == .sendProbe) }
    #expect(liveness.health == .doubtful)
    #expect(liveness.heard(at: Self.moment(600)) == true)
    #expect(liveness.heard(at: Self.moment(601)) == false)
    #expect(liveness.sent(at: Self.moment(700)) == Self.moment(950))
  }

  /// What is sent is lost, but the peer is heard all the time: only a confirmation heals the channel.
  @Test func hearingDoesNotHealADeafPath() {
    var liveness = Liveness(at: Self.moment(0))
    _ = liveness.sent(at: Self.moment(0))
    for time in stride(from: Int64(0), to: 450, by: 10) {
      #expect(liveness.heard(at: Self.moment(time)) == false)
      if time == 250 { #expect(liveness.probe(at: Self.moment(250)) == .sendProbe) }
    }
    #expect(liveness.probe(at: Self.moment(450)) == .sendProbe)
    #expect(liveness.health == .doubtful)
    #expect(liveness.heard(at: Self.moment(460)) == false)
    #expect(liveness.health == .doubtful)
    #expect(liveness.confirmed(at: Self.moment(470)) == true)
    #expect(liveness.health == .healthy)
  }

  /// An overdue report alone is no doubt: it may be lost.
  @Test func confirmationEndsTheWait() {
    var liveness = Liveness(at: Self.moment(0))
    _ = liveness.sent(at: Self.moment(0))
    #expect(liveness.probe(at: Self.moment(250)) == .sendProbe)
    #expect(liveness.confirmed(at: Self.moment(300)) == false)
    #expect(liveness.health == .healthy)
    #expect(liveness.deadline(silentInterval: .seconds(1)) == .distantFuture)
  }

  @Test func warningAsksAtOnce() {
    var liveness = Liveness(at: Self.moment(0))
    liveness.doubt(at: Self.moment(10))
    #expect(liveness.health == .doubtful)
    #expect(liveness.deadline(silentInterval: .seconds(1)) <= Self.moment(10))
    for step in Int64(0)..<3 { #expect(liveness.probe(at: Self.moment(10 + step)) == .sendProbe) }
    #expect(liveness.probe(at: Self.moment(20)) == .becameSilent)
    // A silent channel is asked, and stays silent until it is heard.
    liveness.ask(at: Self.moment(30))
    #expect(liveness.health == .silent)
    #expect(liveness.deadline(silentInterval: .seconds(10)) <= Self.moment(30))
    liveness.retry(at: Self.moment(40))
    #expect(liveness.health == .doubtful)
  }

  /// A cold channel is probed where something is sent on it, and is healthy when it is heard.
  @Test func coldIsNotDoubted() {
    var liveness = Liveness(at: Self.moment(0))
    #expect(liveness.cool() == true)
    #expect(liveness.cool() == false)
    #expect(liveness.health == .cold)
    #expect(Health.healthy < .cold && .cold < .doubtful)
    #expect(liveness.deadline(silentInterval: .seconds(1)) == .distantFuture)
    _ = liveness.sent(at: Self.moment(100))
    #expect(liveness.probe(at: Self.moment(350)) == .sendProbe)
    #expect(liveness.health == .cold)
    #expect(liveness.heard(at: Self.moment(360)) == true)
    #expect(liveness.health == .healthy)
    _ = liveness.cool()
    liveness.doubt(at: Self.moment(400))
    #expect(liveness.health == .doubtful)
    #expect(liveness.cool() == false)
    #expect(liveness.health == .doubtful)
  }

  /// 200 ms until the report, and a round trip of 100 + 4 · 50 ms; then 1 s, and 2 s.
  @Test func patienceFollowsTheRoundTrip() {
    var liveness = Liveness(at: Self.moment(0))
    liveness.measured(.milliseconds(100), at: Self.moment(0))
    #expect(liveness.sent(at: Self.moment(0)) == Self.moment(500))
    _ = liveness.confirmed(at: Self.moment(1))
    for _ in 0..<100 { liveness.measured(.seconds(2), at: Self.moment(0)) }
    let due = liveness.sent(at: Self.moment(10)) ?? Self.moment(0)
    #expect(due > Self.moment(2_990) && due <= Self.moment(3_020))
    #expect(liveness.reportInterval > 990_000_000 && liveness.reportInterval <= 1_000_000_000)
  }

  /// RFC 6298, section 2, by hand: samples of 100 and 200 ms.
  @Test func smoothing() {
    var trip = RoundTrip()
    #expect(trip.timeout == .milliseconds(250))
    trip.add(.milliseconds(100))
    #expect(trip.smoothed == .milliseconds(100))
    #expect(trip.timeout == .milliseconds(300))
    trip.add(.milliseconds(200))
    #expect(trip.smoothed == .microseconds(112_500))
    #expect(trip.timeout == .microseconds(112_500 + 4 * 62_500))
  }

  /// A bound counts until there is a true sample, and never after one.
  @Test func bound() {
    var trip = RoundTrip()
    trip.bound(.seconds(2))
    #expect(trip.smoothed == .seconds(2))
    trip.add(.milliseconds(40))
    #expect(trip.smoothed == .milliseconds(40))
    trip.bound(.seconds(2))
    #expect(trip.smoothed == .milliseconds(40))
  }
}
