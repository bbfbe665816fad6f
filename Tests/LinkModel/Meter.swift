// What passes so many bytes a second and holds so many: a token bucket, and a queue before a slow wire.

import Wire

/// Bits a second.
public struct Rate: Hashable, Sendable {
  /// The number, at least 1.
  public let bitsPerSecond: Int

  /// A rate, at least 1 bit a second.
  public init(bitsPerSecond: Int) { self.bitsPerSecond = max(1, bitsPerSecond) }

  /// How long `bytes` take.
  func time(for bytes: Int) -> Duration {
    .nanoseconds(Int64(bytes) * 8_000_000_000 / Int64(bitsPerSecond))
  }
}

/// The virtual scheduling algorithm (ITU-T I.371, annex A): instead of a level that rises with time
/// it keeps the moment at which the bucket is full, or the queue empty, again.
struct Meter: Equatable, Sendable {
  private(set) var busyUntil = Instant(nanoseconds: 0)

  /// Takes a packet in; returns when its last byte is through. Nil, and nothing changed, where with it
  /// more than `room` bytes would wait.
  mutating func take(_ bytes: Int, at now: Instant, rate: Rate, room: Int) -> Instant? {
    let end = max(busyUntil, now) + rate.time(for: bytes)
    guard end - now <= rate.time(for: room) else { return nil }
    busyUntil = end
    return end
  }
}
