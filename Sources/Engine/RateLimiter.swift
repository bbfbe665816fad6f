// How often strangers are answered: a limit per source network, in a table of fixed size, so that
// a flood from one network starves nobody elsewhere and costs no memory.

internal import Wire

/// Limits events per /24, of IPv6 per /48, by the generic cell rate algorithm (ITU-T I.371).
struct RateLimiter: Sendable {
  private static let size = 4096
  private let interval: Int64
  private let tolerance: Int64
  private let key: SipHashKey
  private var arrivals: [Int64]

  /// Allows `perSecond` events a second and bursts of `burst`.
  init(perSecond: Int64, burst: Int64, key: SipHashKey) {
    interval = 1_000_000_000 / perSecond
    tolerance = interval * burst
    self.key = key
    arrivals = Array(repeating: 0, count: Self.size)
  }

  /// Whether one more event from `source` is within the limit; it is counted where it is.
  mutating func allows(_ source: IPAddress, at now: Instant) -> Bool {
    let word: InlineArray<1, UInt64> = [
      source.isIPv4 ? UInt64(source.ipv4 >> 8) : source.high >> 16
    ]
    let bucket = Int(sipHash(word.span.octets, key: key) % UInt64(Self.size))
    let arrival = max(arrivals[bucket], now.nanoseconds)
    guard arrival - now.nanoseconds <= tolerance else { return false }
    arrivals[bucket] = arrival + interval
    return true
  }
}
