// Which first messages were accepted of late.

internal import Wire

/// Remembers what was accepted for as long as it could be accepted again, in bounded memory.
struct ReplayCache: Sendable {
  /// Clocks may differ by so much, either way.
  static let clockTolerance = Duration.seconds(120)
  /// A message is remembered for as long as its time, or its cookie (two slots), would be accepted,
  /// and a moment longer, because times are told in whole milliseconds.
  static let memory = clockTolerance * 2 + .seconds(1)
  /// The most messages that are remembered. The oldest is forgotten for a new one, which the limit of
  /// handshakes a second makes rare.
  static let limit = 65_536

  private var seen: Set<UInt64> = []
  private var queue: [(message: UInt64, expiry: Instant)] = []
  private var first = 0

  /// Notes a message by a number that no other has; false where it was noted before.
  mutating func insert(_ message: UInt64, at now: Instant) -> Bool {
    while first < queue.count, queue[first].expiry <= now { forgetOldest() }
    guard seen.insert(message).inserted else { return false }
    // Only what is new makes others go.
    if seen.count > Self.limit { forgetOldest() }
    queue.append((message, now + Self.memory))
    return true
  }

  private mutating func forgetOldest() {
    seen.remove(queue[first].message)
    first += 1
    guard first * 2 >= queue.count else { return }
    queue.removeFirst(first)
    first = 0
  }
}
