// Time, and waiting that gives up when the test is cancelled (its time limit has passed).

import Glibc
public import Wire

/// The monotonic clock now.
public func now() -> Instant {
  var time = timespec()
  unsafe clock_gettime(CLOCK_BOOTTIME, &time)
  return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
}

/// Blocks the calling thread. Throws when its task is cancelled.
public func pause(_ duration: Duration) throws {
  let end = now() + duration
  while true {
    try Task.checkCancellation()
    let left = end - now()
    guard left > .zero else { return }
    sleepThread(min(left, .milliseconds(50)))
  }
}

/// Blocks the calling thread, whatever happens.
func sleepThread(_ duration: Duration) {
  let nanoseconds = max(duration.wholeNanoseconds, 0)
  var time = timespec(
    tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
  unsafe nanosleep(&time, nil)
}

/// Asks until the answer is yes, every 10 ms. Returns how long that took; throws after `limit`.
@discardableResult
public func wait(
  for what: String, atMost limit: Duration = .seconds(10), until isDone: () throws -> Bool
) throws -> Duration {
  let start = now()
  while try !isDone() {
    guard now() - start < limit else { throw Failure("\(what): not within \(limit)") }
    try pause(.milliseconds(10))
  }
  return now() - start
}
