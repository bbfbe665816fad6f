// When a session is to have more channels: it uses all that it has, and even the best of them loses.
//
// Why: who polices each connection gives a new one a rate of its own.

internal import Wire

/// The wish for more channels, of one session and direction.
struct Growth: Sendable {
  /// What is sent so soon after channels came into use does not count, and so many round trips after more were asked
  /// for.
  private static let settling = Duration.seconds(1)
  private static let roundTrips = 4
  /// For so long frames are counted; in two such times in a row too many have to be lost, for what an outage lost
  /// comes in one.
  private static let interval = Duration.seconds(1)
  /// Fewer frames say nothing.
  private static let least: UInt64 = 1000
  /// So often in a row more is asked for where none come: the asking may be lost as well.
  private static let patience = 5

  /// Frames of one interval, or of several.
  private typealias Frames = (sent: UInt64, arrived: UInt64)

  /// The most channels that there were, but for a few that came for others.
  private var channels = 0
  private var since = Instant(nanoseconds: 0)
  private var current: Frames = (0, 0)
  /// Those of the intervals before, if too many were lost in each.
  private var lossy: Frames = (0, 0)
  /// What was lost on how many channels when more were asked for.
  private var before: (channels: Int, evidence: Evidence)?
  private var asked = 0
  /// Until when no more are asked for, since those that came did nothing for what is lost, or none came; and how long
  /// that is the next time.
  private var restsUntil = Instant(nanoseconds: 0)
  private var rest = Duration.seconds(600)

  /// Flows are spread over so many channels from now on. Nothing is counted before their shares follow what passes.
  mutating func begin(channels: Int, at now: Instant) {
    self.channels = max(self.channels, channels)
    restart(at: now + Self.settling)
  }

  /// Notes how many channels there are. True where they are many more than ever: what each lost of a larger part of
  /// what is sent says little of what it will lose from now on.
  mutating func note(channels: Int, at now: Instant) -> Bool {
    guard Self.areMany(channels, beside: self.channels) else { return false }
    self.channels = channels
    restart(at: now + Self.settling)
    asked = 0
    return true
  }

  /// Whether so many channels are more than a few that are there while others make room for them.
  private static func areMany(_ count: Int, beside before: Int) -> Bool { count * 4 >= before * 5 }

  /// Takes in what became of what was sent since the last time. True where more channels are to be opened.
  mutating func wantsMore(_ losses: Losses, roundTrip: Duration, at now: Instant) -> Bool {
    guard now >= since, now >= restsUntil else { return false }
    current.sent += losses.sent
    current.arrived += losses.arrived
    guard now - since >= Self.interval else { return false }
    let sum = (sent: lossy.sent + current.sent, arrived: lossy.arrived + current.arrived)
    let wasLossy = lossy.sent > 0
    lossy = isLossy(losses) ? sum : (0, 0)
    (since, current) = (now, (0, 0))
    guard wasLossy, lossy.sent >= Self.least else { return false }
    restart(at: now + roundTrip * Self.roundTrips)
    return asks(sum, at: now)
  }

  private func isLossy(_ losses: Losses) -> Bool {
    Double(current.arrived) < Double(current.sent) * (1 - Scheduler.lossLimit)
      && losses.ofBest > Scheduler.lossLimit / 2
  }

  private mutating func restart(at start: Instant) {
    since = start
    (current, lossy) = ((0, 0), (0, 0))
  }

  private mutating func asks(_ frames: Frames, at now: Instant) -> Bool {
    var evidence = Evidence()
    evidence.add(sent: frames.sent, arrived: frames.arrived, at: now)
    if let before, Self.areMany(channels, beside: before.channels) {
      // A tenth less is lost, for sure: more channels were worth having.
      let isBetter = before.evidence.exceeds(evidence, by: before.evidence.loss / 10)
      guard isBetter else { return takeRest(at: now) }
    } else if asked == Self.patience {
      return takeRest(at: now)
    }
    before = (channels, evidence)
    asked += 1
    return true
  }

  private mutating func takeRest(at now: Instant) -> Bool {
    restsUntil = now + rest
    rest = min(rest * 2, .seconds(6 * 3600))
    (before, asked) = (nil, 0)
    return false
  }
}
