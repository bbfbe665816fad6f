// What the scheduler thinks of one channel.

internal import Wire

/// A channel's place among those of its session.
struct Standing: Sendable {
  /// Whether datagrams may go on a channel, worst first.
  enum Rank: Int, Sendable {
    /// Not open, or of worse health than others.
    case none
    /// Only where nothing better is to be had.
    case candidate
    /// Flows may have their home here.
    case chosen
  }

  var rank = Rank.none
  var evidence = Evidence()
  /// The frames of the reports since the last judgement.
  var recent = (sent: UInt64(0), arrived: UInt64(0))
  /// How much of the load it is to have, beside others; their mean is 1.
  var share = 1.0
  /// Bytes sent on it, each divided by the share of its time: where flows are spread, the channel with
  /// the least comes next.
  var load = 0.0
  /// Whether its round trip is much longer than that of the fastest one.
  private(set) var isSlow = false
  /// In how many judgements in a row it lost more than the best one.
  private var strikes = 0
  /// Whether flows leave it, because it loses more than others.
  private(set) var isAvoided = false

  /// Loses more than this beyond the best one, and for sure: a strike.
  private static let tolerance = 0.02
  /// A channel that still loses more when its share is this small does so whatever its load.
  private static let small = 0.25
  /// So much at once is two strikes.
  private static let heavy = 0.25

  /// Takes in what a report says of the frames since the one before.
  mutating func take(
    _ interval: (sent: UInt64, arrived: UInt64, bytes: UInt64), at now: Instant
  ) {
    evidence.add(sent: interval.sent, arrived: interval.arrived, at: now)
    recent.sent &+= interval.sent
    recent.arrived &+= interval.arrived
  }

  /// Notes that so many bytes were sent.
  @inline(__always)
  mutating func carried(_ byteCount: Int) { load += Double(byteCount) / share }

  /// Forgets losses, and what they did to its share.
  mutating func pardon() {
    forgetLosses()
    share = 1
  }

  /// Forgets losses.
  mutating func forgetLosses() {
    evidence = Evidence()
    recent = (0, 0)
    strikes = 0
    isAvoided = false
  }

  /// What arrived since the last judgement of its share.
  var arrivals: Double { share * Double(recent.arrived) / Double(recent.sent) }

  /// Compares its losses with the best channel's. Gives by how much it loses more, 0 where that is not
  /// sure. Two strikes in a row make flows leave it. Where they are spread its load may be the cause, so
  /// it takes twelve, and that others lose nothing or that its share is small; where clumps are
  /// smoothed others may lose nothing though load is the cause. Once even the best one loses more than it, for sure,
  /// flows may come back.
  mutating func judge(against best: Evidence, isSpread: Bool, isSmoothed: Bool) -> Double {
    guard evidence.exceeds(best, by: Self.tolerance) else {
      strikes = 0
      if best.exceeds(evidence, by: Self.tolerance) { isAvoided = false }
      return 0
    }
    strikes += evidence.exceeds(best, by: Self.heavy) ? 2 : 1
    if isSpread {
      let hasOtherCause = share < Self.small || !isSmoothed && best.loss < Scheduler.lossLimit
      if strikes >= 12, hasOtherCause { isAvoided = true }
    } else if strikes >= 2 {
      isAvoided = true
    }
    return evidence.loss - best.loss
  }

  /// Compares its round trip with the shortest one. One that was found slow has to come closer than
  /// that to be found fast again.
  mutating func compare(_ roundTrip: Duration, shortest: Duration) {
    let bound = Self.slowness(shortest)
    isSlow = roundTrip > shortest + (isSlow ? bound / 2 : bound)
  }

  /// By how much a slow channel's round trip is longer than the shortest one.
  static func slowness(_ shortest: Duration) -> Duration { max(.milliseconds(10), shortest / 4) }
}
