// The clocks that Driver hands to the engine.

import CLinux
import Glibc
public import Wire

/// CLOCK_REALTIME: what the host takes for the time. Somebody may set it.
public enum WallClock {
  /// Milliseconds since 1970.
  public static func now() -> UInt64 {
    var time = timespec()
    let result = unsafe clock_gettime(CLOCK_REALTIME, &time)
    precondition(result == 0, "CLOCK_REALTIME is always there")
    return UInt64(clamping: Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000)
  }
}

/// CLOCK_BOOTTIME: monotonic, and counts while the machine sleeps, so a resume is noticed.
public enum BootClock {
  /// The moment that it is.
  public static func now() -> Instant {
    var time = timespec()
    let result = unsafe clock_gettime(CLOCK_BOOTTIME, &time)
    precondition(result == 0, "CLOCK_BOOTTIME is there since Linux 2.6.39")
    return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }
}
