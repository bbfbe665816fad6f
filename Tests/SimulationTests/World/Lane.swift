// What befalls the packets of some channels only.

import Wire

/// A limit on the bytes of one direction, as a token bucket that drops what exceeds it.
struct Policer {
  /// Bits a second.
  let rate: Int
  /// Bytes that may pass at once.
  let burst: Int
  private var tokens: Int64
  private var last: Instant?

  init(rate: Int, burst: Int = 15_000) {
    self.rate = rate
    self.burst = burst
    tokens = Int64(burst) * 1_000_000_000
  }

  /// Whether a packet of so many bytes passes. Tokens are counted in billionths of a byte.
  mutating func passes(_ byteCount: Int, at now: Instant) -> Bool {
    if let last {
      let gained = (now - last).wholeNanoseconds * Int64(rate / 8)
      tokens = min(tokens + gained, Int64(burst) * 1_000_000_000)
    }
    last = now
    guard tokens >= Int64(byteCount) * 1_000_000_000 else { return false }
    tokens -= Int64(byteCount) * 1_000_000_000
    return true
  }
}

/// What a link does, besides its `Conditions`, to the packets of the channels to one port.
struct Lane {
  /// Time on top of the link's latency.
  var delay = Duration.zero
  /// Of 1000 packets, how many are lost.
  var lossPerMille = 0
  /// Which directions are a black hole.
  var blackholed: Set<World.Direction> = []
  /// Limits by direction.
  var policers: [World.Direction: Policer] = [:]

  /// Nothing passes.
  static let dead = Lane(blackholed: [.toServer, .toClient])

  /// Whether a packet gets through, but for random loss.
  mutating func passes(_ byteCount: Int, _ direction: World.Direction, at now: Instant) -> Bool {
    !blackholed.contains(direction)
      && policers[direction]?.passes(byteCount, at: now) != false
  }
}
