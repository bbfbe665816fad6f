// How large the packets of a channel may be, found out by padded probes (RFC 8899), because paths drop
// large packets without a word:
//
//   open ──► search ── nothing left to ask for ──► complete ── 4 s, doubling to 10 minutes ──► search
//              ▲                                     │  ▲
//              └──── it does not arrive ──── check ◄─┘  └── it does
//                     large packets were sent, and no report has one
//
// A search asks for the most that both ends' interfaces and MSS allow, and where that does not arrive for
// sizes that links and tunnels commonly have. Meanwhile the channel sends what nearly every path carries.
//
// A lost probe tells nothing of its size, for a policer drops three of four packets of any. So two sizes are
// compared: with each probe of the size in question goes one of the size below that the channel would fall
// back to, and where eight of these were answered before one of the others was, the size does not fit.
// Pure state; the engine sends the probes.

internal import Wire

/// The packet size of one channel. All sizes are of IP packets, in bytes.
struct SegmentSize: Sendable {
  /// Nearly every path carries this (BASE_PLPMTU): the least MTU of IPv6 (RFC 8200, section 5).
  static let base = 1280
  /// So many answers to smaller probes, and none to one of the size in question, speak against that.
  /// Where large packets have half the chance of small ones, that is one case in 25.
  private static let evidence = 8
  /// So many rounds without either are given up: the path loses too much to tell.
  private static let roundLimit = 40
  private static let shortestPause = Duration.seconds(4)
  /// How long a size stands at most before a larger one is asked for (PMTU_RAISE_TIMER).
  static let longestPause = Duration.seconds(600)
  /// So many large packets are sent before one has to be confirmed.
  private static let uncheckedLimit = 8
  /// So many nanoseconds pass between two checks at least.
  private static let checkInterval: Int64 = 1_000_000_000

  /// What links and tunnels carry: among them SLIP, radio, IPv6's least, tunnels in tunnels, WireGuard,
  /// L2TP, PPPoE over it, 6in4, PPPoE, Ethernet, FDDI, jumbo frames.
  private static let common: InlineArray<18, Int> = [
    552, 576, 1006, 1200, 1280, 1320, 1360, 1400, 1420, 1440, 1454, 1472, 1480, 1492, 1500, 4352,
    8192, 9000,
  ]

  /// Two probes to be sent one behind the other.
  struct Round: Hashable, Sendable {
    /// What the first one carries; the second has `token ^ 1`.
    let token: UInt32
    /// The size in question.
    let size: Int
    /// The size that it is compared with.
    let smaller: Int
  }

  /// The largest packet that is sent (PLPMTU).
  private(set) var size: Int
  /// The largest that both ends' interfaces, and the MSS, allow (MAX_PLPMTU).
  private var ceiling: Int
  /// What is never doubted (MIN_PLPMTU).
  private let floor: Int
  /// The largest that is known to arrive.
  private var confirmed: Int
  /// The smallest that does not fit.
  private var failed: Int
  /// What a search asks for first: the ceiling, what a router named, or in a check the size in use.
  private var top: Int
  /// What is asked for (PROBED_SIZE); nil where the search is complete.
  private var probed: Int?
  private var isChecking = false
  /// Of the question: what its probes carry, how many rounds were sent, how many smaller ones answered.
  private var token: UInt32 = 0
  private var rounds = 0
  private var answers = 0
  /// How many probes of sizes in question were sent that may be lost, and are not forgiven.
  private var unanswered: UInt64 = 0
  /// How long to wait between rounds that are answered.
  private var pace = Duration.zero
  /// When `nextRound` is to be called.
  private(set) var deadline: Instant
  /// When a larger size is asked for again.
  private var searchAt = Instant.distantFuture
  private var pause = shortestPause
  /// Large packets that were sent since one was last confirmed, since when, and the largest of them.
  private var unchecked = 0
  private var uncheckedSince: Instant
  private var largestSent = 0
  private var checkedAt: Instant

  /// A size that is to be searched for. `floor` is what the IP version promises.
  init(ceiling: Int, floor: Int, at now: Instant) {
    self.ceiling = ceiling
    self.floor = floor
    size = min(ceiling, Self.base)
    confirmed = min(ceiling, floor)
    (top, failed) = (ceiling, ceiling + 1)
    deadline = now
    uncheckedSince = now
    checkedAt = now - .seconds(1)
    probeNext(at: now)
  }

  /// Whether a packet of this size has to be confirmed now and then.
  static func isLarge(_ packet: Int) -> Bool { packet > base }

  /// Whether no search is under way.
  var isSettled: Bool { probed == nil || isChecking }

  /// How many bytes the probes of one round have at most.
  var roundByteCount: Int { ceiling + Self.base }

  /// The channel cannot be asked now: nothing is heard on it, or its window is full.
  mutating func postpone(to moment: Instant) { deadline = moment }

  /// Both ends' interfaces and the MSS allow so much now: the deadline is at once where that is news.
  mutating func setCeiling(_ ceiling: Int, at now: Instant) {
    guard ceiling != self.ceiling else { return }
    self.ceiling = ceiling
    pause = Self.shortestPause
    search(top: ceiling, at: now)
  }

  /// A router that had a packet of ours carries no more than `limit` (RFC 1191, RFC 8201).
  mutating func tooBig(limit: Int, at now: Instant) {
    let limit = max(limit, floor)
    guard limit < failed - 1 else { return }
    if limit < size { pause = Self.shortestPause }
    confirmed = floor
    search(top: limit, at: now)
  }
}

// The search.
extension SegmentSize {
  /// What to ask for when `deadline` has come; nil where there is nothing left. `token` is a random
  /// number, and `timeout` how long an answer may take.
  mutating func nextRound(token: UInt32, timeout: Duration, at now: Instant) -> Round? {
    if probed == nil { search(top: ceiling, at: now) }
    if rounds == Self.roundLimit { complete(at: now) }
    // Neither arrives. The path may carry less than any should.
    if rounds > 0, answers == 0, confirmed < Self.base, let probed, probed > Self.base {
      ask(for: Self.base, at: now)
    }
    guard let probed else { return nil }
    if rounds == 0 { self.token = token }
    rounds += 1
    unanswered &+= 1
    pace = timeout / 5
    deadline = now + (answers == 0 ? timeout : pace)
    return Round(token: self.token, size: probed, smaller: smaller)
  }

  private var smaller: Int { (probed ?? 0) > Self.base ? Self.base : floor }

  /// Takes an answer; false where it is none to a probe of the question.
  mutating func answered(_ token: UInt32, at now: Instant) -> Bool {
    guard let probed, rounds > 0 else { return false }
    switch token {
    case self.token:
      unanswered -= min(unanswered, UInt64(rounds))
      confirmed = max(confirmed, probed)
      size = max(size, probed)
      if isChecking, probed == top { complete(at: now) } else { probeNext(at: now) }
    case self.token ^ 1:
      confirmed = max(confirmed, smaller)
      answers += 1
      deadline = min(deadline, now + pace)
      if answers == Self.evidence { refute(probed, at: now) }
    default: return false
    }
    return true
  }

  /// How many of so many frames that did not arrive are to be forgiven: probes of what may not fit.
  mutating func forgiven(of missing: UInt64) -> UInt64 {
    let count = min(missing, unanswered)
    unanswered -= count
    return count
  }

  /// A size does not fit. That of a check was in use: a search for one below it begins.
  private mutating func refute(_ probed: Int, at now: Instant) {
    failed = probed
    if size >= failed { size = confirmed }
    if isChecking { pause = Self.shortestPause }
    isChecking = false
    probeNext(at: now)
  }

  private mutating func search(top: Int, at now: Instant) {
    isChecking = false
    (self.top, failed) = (top, top + 1)
    confirmed = min(confirmed, top)
    size = min(size, top)
    probeNext(at: now)
  }

  /// Asks for the top, and where that does not fit for the middle one of the sizes that may.
  private mutating func probeNext(at now: Instant) {
    if top > confirmed, top < failed { return ask(for: top, at: now) }
    let between = Self.common.indices.filter {
      Self.common[$0] > max(confirmed, size) && Self.common[$0] < failed
    }
    if between.isEmpty {
      complete(at: now)
    } else {
      ask(for: Self.common[between[between.count / 2]], at: now)
    }
  }

  private mutating func ask(for size: Int, at now: Instant) {
    probed = size
    rounds = 0
    answers = 0
    deadline = now
  }

  private mutating func complete(at now: Instant) {
    probed = nil
    unchecked = 0
    if !isChecking {
      searchAt = size == ceiling ? .distantFuture : now + pause
      pause = min(pause * 2, Self.longestPause)
    }
    isChecking = false
    deadline = searchAt
  }
}

// What makes a size doubtful (RFC 8899, section 4.3: black hole detection), and what confirms it.
extension SegmentSize {
  /// Notes that `count` large packets of this size were sent, the last one maybe smaller. True where one
  /// has to be confirmed, for no report that is `patience` nanoseconds old at most has one: the deadline
  /// is now.
  @inline(__always)
  mutating func noteLarge(
    _ packet: Int, count: Int, patience: Int64, at now: Instant
  ) -> Bool {
    if unchecked == 0 {
      uncheckedSince = now
      largestSent = 0
    }
    unchecked &+= count
    largestSent = max(largestSent, packet)
    guard unchecked >= Self.uncheckedLimit,
      now.nanoseconds &- uncheckedSince.nanoseconds >= patience
    else { return false }
    return check(at: now)
  }

  /// Asks for the size in use; the deadline is at once. False where that is done, or was of late.
  mutating func check(at now: Instant) -> Bool {
    guard probed == nil, Self.isLarge(size),
      now.nanoseconds &- checkedAt.nanoseconds >= Self.checkInterval
    else { return false }
    isChecking = true
    checkedAt = now
    confirmed = floor
    (top, failed) = (size, size + 1)
    ask(for: size, at: now)
    return true
  }

  /// A report has a frame from a packet of so many bytes or more. It confirms the size where none larger
  /// was sent since that was last confirmed.
  mutating func reported(_ packet: Int, at now: Instant) {
    guard Self.isLarge(packet), packet >= largestSent else { return }
    unchecked = 0
    if isChecking { complete(at: now) }
  }
}
