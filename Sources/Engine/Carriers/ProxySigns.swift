// Whether something on the way ends a TCP connection: a transparent proxy, a TCP accelerator (RFC 3135,
// section 2.4, a split connection). Then a real TCP is at the other end of our segments. It waits for ever
// for what was lost, since nobody sends it again, and cuts the stream where it likes. Told by what our peer
// never does. Each of these can be forged, as an RST can, so they decide about what is preferred, no more.

internal import Wire

/// What was seen of a real TCP on one channel.
struct ProxySigns: Sendable {
  /// So many signs are needed,
  private static let enough = 3
  /// within this time of the first.
  private static let memory = Duration.seconds(10)

  private var count = 0
  private var firstAt = Instant(nanoseconds: 0)
  /// An acknowledgment that came again, and how often in a row.
  private var repeated = (acknowledgment: UInt32(0), count: 0)
  /// Where a segment ended inside of a frame.
  private var cutAt: UInt32?
  /// What had been received by one of the last reports, and by one that was sent a round trip before it.
  private var reportedAt: Instant?
  private var received: UInt32?
  private var receivedBefore: UInt32?

  /// A sign that no network makes of our peer's segments, such as a selective acknowledgment. True where
  /// it is one too many; they are counted anew then.
  mutating func note(at now: Instant) -> Bool {
    if count == 0 || now - firstAt > Self.memory { (count, firstAt) = (0, now) }
    count += 1
    guard count >= Self.enough else { return false }
    count = 0
    return true
  }

  /// A pure acknowledgment that is no news, while something is in flight: our peer sends none, and a network
  /// that repeats or reorders packets makes two of a number at most. The third is what makes a TCP send
  /// again (RFC 5681, section 3.2).
  mutating func noteRepeated(acknowledgment: UInt32) -> Bool {
    let isSame = repeated.count > 0 && repeated.acknowledgment == acknowledgment
    repeated = (acknowledgment, isSame ? repeated.count + 1 : 1)
    guard repeated.count >= Self.enough else { return false }
    repeated.count = 0
    return true
  }

  /// A segment ends inside of a frame, or goes on where one did: the stream was cut anew. Our peer's
  /// segments have whole frames, and what is damaged on the way has a wrong checksum.
  mutating func noteCut(at end: UInt32, at now: Instant) -> Bool {
    cutAt = end
    return note(at: now)
  }

  /// Whether a segment without a frame goes on where one was cut.
  func continuesCut(_ sequence: UInt32) -> Bool { sequence == cutAt }

  /// A segment that ends at `end` has nothing new. It was sent again where that came first so long ago that
  /// no network holds a copy back. Too far behind `next`, where the stream goes on, numbers are out of their
  /// window, and nobody knows whether they came before.
  mutating func noteRepeated(upTo end: UInt32, next: UInt32, at now: Instant) -> Bool {
    guard let receivedBefore, end.sequenceDistance(from: receivedBefore) <= 0,
      next.sequenceDistance(from: end) < NumberWindow.width * FrameHeader.byteCount
    else { return false }
    return note(at: now)
  }

  /// A report is sent, and the stream has been received up to `end`. What was received when this was noted
  /// the last time but one is old: for longer than `roundTrip`, as long as one takes at most, and a second,
  /// because a network that begins to hold packets back does so before the round trip is known.
  mutating func noteReport(received end: UInt32, roundTrip: Duration, at now: Instant) {
    if let reportedAt, now - reportedAt < max(.seconds(1), roundTrip) { return }
    reportedAt = now
    receivedBefore = received
    received = end
  }
}

/// Who has found that a channel's connection is ended on the way.
enum ProxyFinder: Sendable {
  case nobody
  /// The other end, which has said so in a report.
  case peer
  /// This end, on this channel or on one to the same port before.
  case thisEnd
}

/// The server's ports behind which a session has found its TCP connections ended.
struct ProxiedPorts: Sendable {
  /// A port is believed to be so for that long; then it may be tried again.
  private static let memory = Duration.seconds(600)
  private static let limit = 16

  private var entries: [(port: UInt16, foundAt: Instant)] = []

  mutating func insert(_ port: UInt16, at now: Instant) {
    entries.removeAll { $0.port == port }
    if entries.count == Self.limit { entries.removeFirst() }
    entries.append((port, now))
  }

  func contains(_ port: UInt16, at now: Instant) -> Bool {
    entries.contains { $0.port == port && now - $0.foundAt < Self.memory }
  }
}
