// When a session is to have more channels: it uses all that it has, and even the best of them loses.
//
// Why: who polices each connection gives a new one a rate of its own.

internal import Wire

/// The wish for more channels, of one session and direction, while flows are spread.
struct Growth: Sendable {
  /// What is sent so soon after channels, or a pace, came into use does not count.
  private static let settling = Duration.seconds(1)
  /// For so long frames are counted, and two times in a row too many have to be lost: what an outage lost comes at once.
  private static let interval = Duration.seconds(1)
  /// Fewer frames than this in that time say nothing.
  private static let least = 100.0
  /// So often in a row more is asked for where the peer opens none: the asking may be lost as well.
  private static let patience = 5

  /// What a number of channels did.
  private struct Yield {
    let channels: Int
    /// The part of the frames that was lost.
    let loss: Double
    /// Frames a second that arrived.
    let rate: Double

    /// Whether these channels are worth having, beside those there were before.
    func isBetter(than before: Yield) -> Bool {
      rate > before.rate * 1.25 || loss < before.loss * 0.75
    }
  }

  /// The most channels that there were.
  private var channels: Int
  private var since: Instant
  private var sent = 0.0
  private var arrived = 0.0
  private var wasLossy = false
  /// What there was when more were asked for.
  private var before: Yield?
  private var asked = 0
  /// Whether more channels did nothing for what is lost, or there are none to be had.
  private var isOver = false

  init(channels: Int, spreadAt now: Instant) {
    self.channels = channels
    since = now + Self.settling
  }

  /// Notes how many channels there are. True where they are more than ever: what each lost of a larger part of what
  /// is sent says little of what it will lose from now on.
  mutating func note(channels: Int, at now: Instant) -> Bool {
    guard channels > self.channels else { return false }
    self.channels = channels
    restart(at: max(now + Self.settling, since))
    wasLossy = false
    return true
  }

  /// Takes in what became of what was sent since the last time. True where more channels are to be opened.
  mutating func wantsMore(_ losses: Losses, at now: Instant) -> Bool {
    guard !isOver, now >= since else { return false }
    sent += losses.sent
    arrived += losses.arrived
    guard now - since >= Self.interval else { return false }
    defer { restart(at: now) }
    let isLossy =
      sent >= Self.least && arrived < sent * (1 - Scheduler.lossLimit)
      && losses.ofBest > Scheduler.lossLimit / 2
    defer { wasLossy = isLossy }
    guard isLossy, wasLossy else { return false }
    let seconds = Double((now - since).wholeNanoseconds) / 1e9
    return asks(Yield(channels: channels, loss: 1 - arrived / sent, rate: arrived / seconds))
  }

  private mutating func restart(at now: Instant) {
    since = now
    (sent, arrived) = (0, 0)
  }

  private mutating func asks(_ yield: Yield) -> Bool {
    if let before, yield.channels > before.channels {
      asked = 0
      isOver = !yield.isBetter(than: before)
    } else {
      isOver = asked == Self.patience
    }
    guard !isOver else { return false }
    before = yield
    asked += 1
    return true
  }
}
