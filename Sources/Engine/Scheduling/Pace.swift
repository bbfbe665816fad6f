// When what is spread over several channels may go: evenly, rather than in the clumps that apps send.
//
// Why: a policer lets a burst pass and drops the rest of a clump, though the line is idle a moment later (T. Flach
// et al., An Internet-Wide Analysis of Traffic Policing, SIGCOMM 2016). Like fq's pacing of TCP, but there is no
// window to go by: the rate is what was sent lately.

internal import Wire

/// The pace of a session, in the unit of `Standing.load`: bytes of a channel whose share is 1.
struct Pace: Sendable {
  /// The rate is so much higher than what was sent lately: what grows is not to wait.
  private static let headroom = 1.1
  /// Nothing waits for longer than this, in seconds: where more comes than was sent lately it goes faster.
  private static let patience = 0.1
  /// A channel may send at once what it may send in so many seconds.
  private static let burst = 0.01

  /// Bytes a second that were sent lately.
  private var average: Double
  /// The most that waited at once since nothing did.
  private var backlog = 0.0
  /// Whether anything had to wait since what was sent was measured last.
  private(set) var isSmoothing = false
  /// How much a channel may have carried by `markedAt`.
  private var mark: Double
  private var markedAt: Instant
  private var measured: (load: Double, at: Instant)

  /// A pace that starts while the least loaded channel has carried `load` bytes since `start`.
  init(load: Double, since start: Instant, at now: Instant) {
    average = Self.rate(load, now - start)
    mark = load
    markedAt = now
    measured = (load, now)
  }

  private static func rate(_ bytes: Double, _ time: Duration) -> Double {
    bytes * 1e9 / Double(max(1, time.wholeNanoseconds))
  }

  private var rate: Double { max(average * Self.headroom, backlog / Self.patience, 1) }

  /// What may be added to the least load, `load`; less than 0 where that is too much already.
  mutating func room(above load: Double, at now: Instant) -> Double {
    mark += Double((now - markedAt).wholeNanoseconds) / 1e9 * rate
    markedAt = now
    mark = min(mark, load + Self.burst * rate)
    return mark - load
  }

  /// How long until there is room where there is less than none; `burst` at most, for what comes meanwhile may ask for a
  /// higher rate.
  func wait(for room: Double) -> Duration {
    .nanoseconds(Int64(max(0, min(-room / rate, Self.burst)) * 1e9))
  }

  /// Notes that so much waits.
  mutating func note(backlog: Double) {
    isSmoothing = true
    self.backlog = backlog > 0 ? max(self.backlog, backlog) : 0
  }

  /// Takes in how much the least loaded channel has carried by now.
  mutating func measure(load: Double, at now: Instant) {
    average += (Self.rate(load - measured.load, now - measured.at) - average) / 4
    measured = (load, now)
    isSmoothing = false
  }

  /// All channels' loads start from 0 again.
  mutating func restart(at now: Instant) {
    (mark, markedAt) = (0, now)
    measured = (0, now)
  }
}
