// One queue for all timers of the engine. Deadlines mostly move later, so an entry is left where
// it is and looked at again when it comes up; an earlier deadline moves the entry. Each timer has
// at most one, so the queue never outgrows the tables.

internal import Wire

/// What a timer is for, with the index in its table.
enum TimerKey: Hashable, Sendable {
  case channel(Int)
  case session(Int)
  case flow(Int)
  /// What waits of a session's datagrams.
  case pacing(Int)
  case dialer
  /// The next address of the server's.
  case race
  case reassembly

  /// The timer as a small number.
  fileprivate var number: Int {
    switch self {
    case .channel(let index): index &* 5
    case .session(let index): index &* 5 &+ 1
    case .flow(let index): index &* 5 &+ 2
    case .pacing(let index): index &* 5 &+ 3
    case .dialer: 4
    case .reassembly: 9
    case .race: 14
    }
  }
}

/// A priority queue of deadlines: a binary heap that knows where each timer's entry is.
struct TimerQueue: Sendable {
  private struct Entry {
    var deadline: Instant
    let key: TimerKey
  }

  private var heap: [Entry] = []
  /// By timer number: the entry's index in the heap, or -1.
  private var places: [Int] = []

  var count: Int { heap.count }

  /// The earliest deadline.
  var next: Instant { heap.first?.deadline ?? .distantFuture }

  /// Makes sure that the queue wakes `key` at `deadline` or before.
  mutating func schedule(_ key: TimerKey, at deadline: Instant) {
    guard deadline != .distantFuture else { return }
    let number = key.number
    while places.count <= number { places.append(-1) }
    if places[number] < 0 {
      places[number] = heap.count
      heap.append(Entry(deadline: deadline, key: key))
    } else if deadline < heap[places[number]].deadline {
      heap[places[number]].deadline = deadline
    } else {
      return
    }
    siftUp(places[number])
  }

  /// Takes the timer out of the queue, if it is there.
  mutating func cancel(_ key: TimerKey) {
    guard key.number < places.count, places[key.number] >= 0 else { return }
    remove(at: places[key.number])
  }

  /// The earliest timer that is due, taken out of the queue.
  mutating func popDue(at now: Instant) -> TimerKey? {
    guard let first = heap.first, first.deadline <= now else { return nil }
    remove(at: 0)
    return first.key
  }

  private mutating func remove(at index: Int) {
    let last = heap.count - 1
    if index != last { swap(index, last) }
    places[heap.removeLast().key.number] = -1
    guard index != last else { return }
    siftUp(index)
    siftDown(index)
  }

  private mutating func swap(_ first: Int, _ second: Int) {
    heap.swapAt(first, second)
    places[heap[first].key.number] = first
    places[heap[second].key.number] = second
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].deadline < heap[parent].deadline else { return }
      swap(child, parent)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      let least = earlier(earlier(parent, 2 * parent + 1), 2 * parent + 2)
      guard least != parent else { return }
      swap(parent, least)
      parent = least
    }
  }

  /// Of two entries the one that is due first; `second` may lie behind the end.
  private func earlier(_ first: Int, _ second: Int) -> Int {
    second < heap.count && heap[second].deadline < heap[first].deadline ? second : first
  }
}
