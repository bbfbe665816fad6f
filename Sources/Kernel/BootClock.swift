// The clock and the random source that Driver hands to the engine.

import CLinux
import Glibc
public import Wire

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
