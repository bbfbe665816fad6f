// What the scheduler remembers of a session and of its flows.

internal import Wire

/// The scheduler's state of one session and direction.
struct Scheduler: Sendable {
  /// Where fewer than 50 in so many are lost nothing is wrong with what flows are spread over.
  static let lossLimit = 0.02
  /// A channel has at least so much of an equal share, so that it is seen when it gets better.
  static let floor = 0.02

  let schedule: Schedule
  /// The channels that may be flows' homes.
  var chosen: [Int] = []
  /// When channels are judged again at the earliest.
  var judgementAt: Instant
  /// When more was lost last than spreading is to leave.
  var lastLossy: Instant
  /// How many flows are spread.
  var spreadCount = 0
  /// When the last of them began to be.
  var spreadAt = Instant(nanoseconds: 0)
  /// How evenly those are sent; nil where they are sent as they come.
  var pace: Pace?
  /// Whether more channels are needed while any flow is spread.
  var growth = Growth()

  init(_ schedule: Schedule, at now: Instant) {
    self.schedule = schedule
    judgementAt = now
    lastLossy = now
  }

  /// Whether any flow is spread.
  var isSpread: Bool { spreadCount > 0 }

  /// Whether what is spread may be paced. First the shares get a second to follow what passes.
  func mayPace(at now: Instant) -> Bool {
    isSpread && schedule == .adaptive && now - spreadAt >= .seconds(1)
  }
}

/// How a flow goes.
struct Course: Sendable {
  /// A flow that has left two channels for their losses within this is spread.
  static let memory = Duration.seconds(5)

  /// The flow's channel, by index and name; the index may have become another channel's.
  var home: (channel: Int, id: UInt32)?
  /// Whether its runs are spread over all chosen channels.
  private(set) var isSpread = false
  /// When it left a channel for its losses, or went back to one, last.
  private var movedAt: Instant?
  private var spreadAt = Instant(nanoseconds: 0)
  /// How long nothing must be lost before it goes back to one channel: longer each time.
  private var quiet = Duration.seconds(10)

  /// The flow leaves its home because of losses. True where it is to be spread instead.
  mutating func leave(at now: Instant) -> Bool {
    defer { movedAt = now }
    guard let movedAt, now - movedAt < Self.memory else { return false }
    isSpread = true
    spreadAt = now
    return true
  }

  /// Whether it is time to see if one channel is enough. The flow is not spread then any more.
  mutating func gather(lastLossy: Instant, at now: Instant) -> Bool {
    guard isSpread, now - max(lastLossy, spreadAt) > quiet else { return false }
    isSpread = false
    home = nil
    movedAt = now
    quiet = min(quiet * 2, .seconds(320))
    return true
  }
}
