// Whether a channel's path is alive: by what is received on it, never by what is sent, and by what the
// peer says to have received. Pure state; the engine sends the probes that it asks for.

internal import Wire

/// What is believed of a channel's path, best first.
enum Health: Int, Comparable, Sendable {
  /// Nothing speaks against it: heard since the last doubt, or never doubted.
  case healthy
  /// Nothing was heard for so long that a NAT may have forgotten the way: others are better.
  case cold
  /// Sent for a while and nothing confirmed, or warned of by an RST or FIN: being probed.
  case doubtful
  /// Three probes in a row stayed unanswered.
  case silent

  /// Whether it need not be probed.
  var isUndoubted: Bool { self <= .cold }

  static func < (first: Health, second: Health) -> Bool { first.rawValue < second.rawValue }
}

/// Smoothed round-trip time (RFC 6298, section 2).
struct RoundTrip: Sendable {
  private(set) var smoothed: Duration?
  private var variation = Duration.zero
  private var isBound = false

  /// No path is slower: without a key a sample may be anyone's.
  static let limit = Duration.seconds(10)

  /// How long to wait for the answer to a probe.
  var timeout: Duration { max(.milliseconds(250), longest) }

  /// As long as a round trip takes at most, by all that is known (RFC 6298, section 2.3).
  var longest: Duration { min((smoothed ?? .zero) + variation * 4, Self.limit) }

  /// Takes an upper bound for the first sample: the answer to a segment that was sent more than
  /// once. The first true sample replaces it.
  mutating func bound(_ duration: Duration) {
    guard smoothed == nil else { return }
    add(duration)
    isBound = true
  }

  mutating func add(_ sample: Duration) {
    guard let last = smoothed, !isBound else {
      smoothed = sample
      variation = sample / 2
      isBound = false
      return
    }
    let error = last > sample ? last - sample : sample - last
    variation = (variation * 3 + error) / 4
    smoothed = (last * 7 + sample) / 8
  }
}

/// The liveness of one channel:
///
///     healthy ── a report is overdue: probe ── no answer; doubt, ask ──► doubtful ── 3 probes ──► silent
///        ▲                                                                  │                      │
///        └────────────────────────── heard, confirmed ──────────────────────┴──────────────────────┘
///
/// A healthy channel that is not heard for long becomes cold, which is as good where there are no others.
/// `doubt` follows a warning (RST, FIN, the peer's suspect frame), `ask` a change of the network, and
/// `retry` gives a silent channel another round because others are heard again. A channel that was
/// heard all the time but not confirmed loses what is sent on it: only a confirmation heals that.
struct Liveness: Sendable {
  /// So many unanswered probes make a channel silent.
  static let probeLimit = 3

  private(set) var health = Health.healthy
  private(set) var lastHeard: Instant
  /// When the channel was last doubted after it was healthy.
  private(set) var doubtedAt: Instant
  private(set) var roundTrip = RoundTrip()
  private var measuredAt: Instant?
  /// When something was first sent since the peer last confirmed anything.
  private var unconfirmedSince: Instant?
  /// A receiver reports so long after the first frame that it has not reported: max(200 ms, srtt/2),
  /// in nanoseconds, kept ready because `Duration` arithmetic is slow where packets go by.
  private(set) var reportInterval: Int64 = 200_000_000
  /// How long to send without a confirmation before a probe, in nanoseconds: as long as a report takes.
  private(set) var patience: Int64 = 250_000_000
  /// Whether a healthy channel was probed because its report is overdue.
  private var isAsked = false
  /// Whether the peer was heard when its report was overdue.
  private var isDeaf = false
  private var probesUnanswered = 0
  private var lastProbe: Instant
  /// The stamps of the last probes, the newest first. An answer with another one is not ours: without
  /// a key, anybody's stamp would make the path look slow, and a slow path dies slowly.
  private var stamps: InlineArray<4, UInt32?> = .init(repeating: nil)

  init(at now: Instant) {
    lastHeard = now
    doubtedAt = now
    lastProbe = now
  }

  /// Notes that a frame was sent that a live peer reports or answers. Gives the moment of the next
  /// probe where this is the first such frame since something was confirmed.
  @inline(__always)
  mutating func sent(at now: Instant) -> Instant? {
    guard unconfirmedSince == nil else { return nil }
    unconfirmedSince = now
    return Instant(nanoseconds: now.nanoseconds &+ patience)
  }

  /// Notes that a valid frame was received. True where the channel was not healthy before, and is now.
  @inline(__always)
  mutating func heard(at now: Instant) -> Bool {
    lastHeard = now
    return health != .healthy && !isDeaf ? heal() : false
  }

  /// Notes that the peer has received what was sent: a report with news, or the answer to a probe.
  /// True where the channel was not healthy before.
  mutating func confirmed(at now: Instant) -> Bool {
    lastHeard = now
    return heal()
  }

  private mutating func heal() -> Bool {
    unconfirmedSince = nil
    isAsked = false
    isDeaf = false
    probesUnanswered = 0
    defer { health = .healthy }
    return health != .healthy
  }

  /// Whether a channel in use is to be probed for its round trip: about twice a second.
  func isProbeTimely(at now: Instant) -> Bool {
    now.nanoseconds &- lastProbe.nanoseconds >= max(500_000_000, reportInterval &* 2)
  }

  /// Notes the stamp of a probe that is sent.
  mutating func asked(_ stamp: UInt32, at now: Instant) {
    if health.isUndoubted && !isAsked { lastProbe = now }
    for index in (1..<stamps.count).reversed() { stamps[index] = stamps[index - 1] }
    stamps[0] = stamp
  }

  /// Whether one of the last probes had this stamp, and was not answered. An answer that comes again,
  /// without a key maybe much later, measures nothing.
  mutating func takeAnswer(_ stamp: UInt32) -> Bool {
    for index in stamps.indices where stamps[index] == stamp {
      stamps[index] = nil
      return true
    }
    return false
  }

  mutating func measured(_ sample: Duration, at now: Instant) {
    measuredAt = now
    roundTrip.add(sample)
    updatePatience()
  }

  /// Whether the round trip was measured after `moment`.
  func hasMeasured(since moment: Instant) -> Bool { measuredAt.map { $0 > moment } ?? false }

  /// Notes that a round trip of the handshake, retransmissions included, took so long.
  mutating func measuredAtMost(_ duration: Duration) {
    roundTrip.bound(duration)
    updatePatience()
  }

  private mutating func updatePatience() {
    let half = min((roundTrip.smoothed ?? .zero) / 2, RoundTrip.limit)
    reportInterval = max(200_000_000, half.wholeNanoseconds)
    patience = max(250_000_000, reportInterval &+ roundTrip.longest.wholeNanoseconds)
  }

  /// How long a healthy channel that was asked may take to answer.
  private var askTimeout: Duration { max(.milliseconds(200), roundTrip.longest) }

  /// A warning (RST or FIN from outside, the peer's suspect frame): prefer others, and probe at
  /// once.
  mutating func doubt(at now: Instant) {
    guard health.isUndoubted else { return }
    health = .doubtful
    doubtedAt = now
    isDeaf = false
    probesUnanswered = 0
    lastProbe = now - roundTrip.timeout
  }

  /// A NAT may have forgotten the way by now. True where that is news.
  mutating func cool() -> Bool {
    defer { if health == .healthy { health = .cold } }
    return health == .healthy
  }

  /// The network changed: the next probe is due at once, whatever is believed of the path.
  mutating func ask(at now: Instant) {
    doubt(at: now)
    if health == .silent { lastProbe = now - Dialer.longestPause }
  }

  /// Another round of probes for a silent channel, since others hear again.
  mutating func retry(at now: Instant) {
    health = .healthy
    doubt(at: now)
  }

  /// When `probe(at:)` is to be called. While silent, probes go on at `silentInterval`.
  func deadline(silentInterval: Duration) -> Instant {
    switch health {
    case .healthy, .cold:
      guard let unconfirmedSince else { return .distantFuture }
      if isAsked { return lastProbe + askTimeout }
      return Instant(nanoseconds: unconfirmedSince.nanoseconds &+ patience)
    case .doubtful: return lastProbe + roundTrip.timeout
    case .silent: return lastProbe + silentInterval
    }
  }

  /// What to do at the deadline.
  enum Verdict: Sendable {
    case sendProbe
    /// The last of the probes was not answered either: the channel has just become silent.
    case becameSilent
  }

  mutating func probe(at now: Instant) -> Verdict {
    if health == .doubtful, probesUnanswered >= Self.probeLimit {
      health = .silent
      lastProbe = now
      return .becameSilent
    }
    if health.isUndoubted && !isAsked {
      isAsked = true
      lastProbe = now
      return .sendProbe
    }
    if health.isUndoubted {
      health = .doubtful
      doubtedAt = now
      isDeaf = unconfirmedSince.map { (lastHeard - $0).wholeNanoseconds >= patience } ?? false
    }
    probesUnanswered &+= 1
    lastProbe = now
    return .sendProbe
  }
}
