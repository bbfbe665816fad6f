// How fast a path carries datagrams, and what that costs: for ci/bench.

import Glibc
import Synchronization
import Wire

/// What a path carried in a while.
public struct Throughput: Sendable {
  /// Datagrams that arrived.
  public var received = 0
  /// Datagrams that were given up.
  public var lost = 0
  /// How long it took.
  public var elapsed = Duration.zero
  /// The processor time of the app's two threads, system calls included.
  public var appTime = Duration.zero
}

/// Sends datagrams of `size` bytes from a connected socket to another for `duration`, never more
/// than `window` on their way: as fast as the path goes, without a flood that it must drop.
public func measureThroughput(
  from source: UDPSocket, to destination: UDPSocket, size: Int, window: Int = 512,
  for duration: Duration
) throws -> Throughput {
  try destination.file.setReceiveTimeout(.milliseconds(20))
  let arrived = Arrivals()
  let isOver = Signal()
  let receiver = Background { () -> Duration in
    var batch = MessageBatch(count: 64, capacity: 2048)
    while !isOver.isRaised {
      let count = (try? batch.receive(from: destination.file)) ?? 0
      arrived.count.add(count, ordering: .releasing)
    }
    return threadTime()
  }
  let cpu = threadTime()
  let start = now()
  let (sent, lost) = try fill(window, of: source, size, arrived, until: start + duration)
  var result = Throughput(elapsed: now() - start, appTime: threadTime() - cpu)
  sleepThread(.milliseconds(50))
  isOver.raise()
  result.appTime += receiver.join()
  result.received = arrived.count.load(ordering: .acquiring)
  result.lost = max(lost, sent - result.received)
  return result
}

private final class Arrivals: Sendable {
  let count = Atomic(0)
}

private func fill(
  _ window: Int, of source: UDPSocket, _ size: Int, _ arrived: Arrivals, until end: Instant
) throws -> (sent: Int, lost: Int) {
  var batch = MessageBatch(count: 32, capacity: size)
  for index in 0..<batch.count { batch.fill(index, length: size) { _ in } }
  var (sent, lost) = (0, 0)
  var progress = (count: 0, at: now())
  while now() < end {
    let count = arrived.count.load(ordering: .acquiring)
    if count != progress.count { progress = (count, now()) }
    let room = window - (sent - lost - count)
    if room >= batch.count {
      try batch.send(batch.count, over: source.file)
      sent += batch.count
    } else if now() - progress.at > .milliseconds(20) {
      lost = sent - count
      progress.at = now()
    } else {
      sleepThread(.microseconds(20))
    }
  }
  return (sent, lost)
}

private func threadTime() -> Duration {
  var time = timespec()
  unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return .nanoseconds(Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
}
