// Datagrams of one session that wait for their turn, in one allocation.
//
//   memory   | … free … | oldest | next | … | newest | … free … |

internal import Wire

/// A bounded queue of datagrams that are held back for a moment.
struct PacedQueue: ~Copyable {
  /// The most bytes of one session's, with what is lost where the memory begins anew.
  static let byteCount = 1 << 20
  /// The most datagrams.
  static let countLimit = 4096

  struct Entry {
    /// Where it lies in the memory.
    let payload: Range<Int>
    /// The index of its flow, and the flow's name.
    let flow: Int
    let id: UInt16
  }

  /// The datagrams' bytes, as one slot of a batch: what sends datagrams takes them from one.
  var memory = PacketBatch(capacity: 1, slotSize: Self.byteCount)
  private var entries: [Entry] = []
  /// Those before it are gone.
  private var head = 0
  /// The sum of all datagrams, in bytes.
  private(set) var byteCount = 0

  init() { entries.reserveCapacity(2 * Self.countLimit) }

  /// The oldest datagram.
  var first: Entry? { head < entries.count ? entries[head] : nil }

  /// Keeps a copy of a datagram; false where there is no room.
  mutating func append(
    _ datagram: RawSpan, of flow: Int, _ id: UInt16
  ) -> Bool {
    guard entries.count &- head < Self.countLimit, let start = room(for: datagram.byteCount) else {
      return false
    }
    unsafe datagram.withUnsafeBytes {
      unsafe UnsafeMutableRawBufferPointer(rebasing: memory.memory[start...]).copyMemory(from: $0)
    }
    if head >= Self.countLimit {
      entries.removeFirst(head)
      head = 0
    }
    let payload = start..<start &+ datagram.byteCount
    entries.append(Entry(payload: payload, flow: flow, id: id))
    byteCount &+= payload.count
    return true
  }

  /// Where so many bytes fit behind the newest datagram, or in front of the oldest one.
  private func room(for count: Int) -> Int? {
    guard let first, byteCount > 0 else { return count <= Self.byteCount ? 0 : nil }
    let (oldest, next) = (first.payload.lowerBound, entries[entries.count &- 1].payload.upperBound)
    if next <= oldest { return count <= oldest &- next ? next : nil }
    if count <= Self.byteCount &- next { return next }
    return count <= oldest ? 0 : nil
  }

  mutating func removeFirst() {
    byteCount &-= entries[head].payload.count
    head &+= 1
  }
}
