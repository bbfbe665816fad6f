// What is on its way, by the moment at which it is to arrive: a binary heap.

public import Wire

/// A frame on its way, in memory that belongs to the caller.
public struct Waiting: Equatable, Sendable {
  /// When it is to leave the link.
  public var release: Instant
  /// Where the caller keeps it.
  public var slot: Int
  /// Its bytes.
  public var byteCount: Int
  /// Equal moments keep the order in which they came.
  fileprivate var number: UInt64 = 0

  fileprivate func isBefore(_ other: Waiting) -> Bool {
    release < other.release || release == other.release && number < other.number
  }
}

struct ReleaseQueue: Sendable {
  private var heap: [Waiting] = []
  private var number: UInt64 = 0

  var count: Int { heap.count }
  var first: Instant? { heap.first?.release }

  mutating func insert(slot: Int, byteCount: Int, release: Instant) {
    number += 1
    heap.append(Waiting(release: release, slot: slot, byteCount: byteCount, number: number))
    var child = heap.count - 1
    while child > 0, heap[child].isBefore(heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// Takes out what is due first; nil where nothing is by `now`.
  mutating func takeDue(at now: Instant) -> Waiting? {
    guard let first = heap.first, first.release <= now else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return first }
    heap[0] = last
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < heap.count else { return first }
      if child + 1 < heap.count, heap[child + 1].isBefore(heap[child]) { child += 1 }
      guard heap[child].isBefore(heap[parent]) else { return first }
      heap.swapAt(child, parent)
      parent = child
    }
  }
}
