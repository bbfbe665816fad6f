// One queue for all timers of the engine. Deadlines mostly move later, so an entry is left where
// it is and looked at again when it comes up; only an earlier deadline adds an entry.

internal import Wire

/// What a timer is for, with the index in its table.
enum TimerKey: Hashable, Sendable {
  case channel(Int)
  case session(Int)
  case flow(Int)
  case dialer
}

/// A priority queue of deadlines: a binary heap.
struct TimerQueue: Sendable {
  private struct Entry {
    let deadline: Instant
    let key: TimerKey
  }

  private var heap: [Entry] = []

  /// The earliest deadline.
  var next: Instant { heap.first?.deadline ?? .distantFuture }

  mutating func add(_ key: TimerKey, at deadline: Instant) {
    heap.append(Entry(deadline: deadline, key: key))
    siftUp(heap.count - 1)
  }

  /// The key of the earliest timer that is due, with its deadline, taken from the queue.
  mutating func popDue(at now: Instant) -> (key: TimerKey, deadline: Instant)? {
    guard let first = heap.first, first.deadline <= now else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      siftDown(0)
    }
    return (first.key, first.deadline)
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].deadline < heap[parent].deadline else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      let least = earlier(earlier(parent, 2 * parent + 1), 2 * parent + 2)
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }

  /// Of two entries the one that is due first; `second` may lie behind the end.
  private func earlier(_ first: Int, _ second: Int) -> Int {
    second < heap.count && heap[second].deadline < heap[first].deadline ? second : first
  }
}

/// A deadline that may move; its entry in the queue is added at most once per earlier deadline.
struct Timer: Sendable {
  private var scheduled = Instant.distantFuture

  /// Makes sure that the queue wakes `key` at `deadline` or before.
  mutating func schedule(_ key: TimerKey, at deadline: Instant, in queue: inout TimerQueue) {
    guard deadline < scheduled else { return }
    scheduled = deadline
    queue.add(key, at: deadline)
  }

  /// Whether an entry that came up is this timer's; stale ones are to be ignored.
  mutating func fires(for deadline: Instant) -> Bool {
    guard deadline == scheduled else { return false }
    scheduled = .distantFuture
    return true
  }
}
