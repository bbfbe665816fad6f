// Time as a value. Nothing that decides reads a clock: `now` is an argument everywhere.

/// A moment on the boot-time clock (CLOCK_BOOTTIME, which counts while the machine sleeps).
public struct Instant: Hashable, Sendable {
  /// Nanoseconds since the machine started.
  public var nanoseconds: Int64

  /// A moment from its nanoseconds.
  @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// Later than any moment that will come.
  public static let distantFuture = Instant(nanoseconds: .max)

  /// The moment `duration` later; saturates at `distantFuture`.
  @inlinable
  public static func + (instant: Instant, duration: Duration) -> Instant {
    let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(duration.wholeNanoseconds)
    return overflow ? .distantFuture : Instant(nanoseconds: sum)
  }

  /// The moment `duration` earlier.
  @inlinable
  public static func - (instant: Instant, duration: Duration) -> Instant {
    Instant(nanoseconds: instant.nanoseconds &- duration.wholeNanoseconds)
  }

  /// The time from `earlier` to `later`.
  @inlinable
  public static func - (later: Instant, earlier: Instant) -> Duration {
    .nanoseconds(later.nanoseconds &- earlier.nanoseconds)
  }
}

extension Instant: Comparable {
  /// Whether `earlier` comes before `later`.
  @inlinable
  public static func < (earlier: Instant, later: Instant) -> Bool {
    earlier.nanoseconds < later.nanoseconds
  }
}

extension Duration {
  /// The duration in nanoseconds, rounded towards zero; traps beyond 292 years.
  @inlinable public var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  }
}
