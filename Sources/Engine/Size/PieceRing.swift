// The datagrams of one session that have come in part, in one allocation.
//
//   memory   | … free … | oldest | next | … | newest | … free … |
//
// A datagram has its place from its first piece on. Places are given one behind the other and round
// again; where there is none left, the oldest datagram makes room. One that is complete keeps its place
// until it is the oldest and room is needed: so a piece that comes again is known.

internal import Wire

/// Datagrams that are put together from their pieces.
@safe struct PieceRing: ~Copyable {
  /// What the pieces of one session may take, in bytes.
  static let byteCount = 1 << 20
  /// How many datagrams are known at a time.
  static let countLimit = 256
  /// How long a datagram waits for its pieces.
  static let patience = Duration.seconds(2)

  private struct Entry {
    let datagram: UInt32
    let flow: UInt16
    let cut: Cut
    let start: Int
    let begun: Instant
    var missing: Int
    /// One bit for each piece.
    var seen: InlineArray<4, UInt64> = .init(repeating: 0)

    var end: Int { start &+ cut.total }

    /// Notes a piece; false where it had come before.
    mutating func mark(_ index: Int) -> Bool {
      let bit: UInt64 = 1 << UInt64(index & 63)
      guard seen[index >> 6] & bit == 0 else { return false }
      seen[index >> 6] |= bit
      missing &-= 1
      return true
    }
  }

  private let memory: UnsafeMutableRawBufferPointer
  /// In the order in which they began; those before `first` are gone.
  private var entries: [Entry] = []
  private var first = 0
  /// The newest datagram by number: no entry is newer.
  private var newest: UInt32 = 0
  /// When a piece last came.
  private(set) var lastUsed: Instant

  init(at now: Instant) {
    unsafe memory = .allocate(byteCount: Self.byteCount, alignment: 64)
    entries.reserveCapacity(2 * Self.countLimit)
    lastUsed = now
  }

  deinit { unsafe memory.deallocate() }

  /// When the oldest datagram has waited long enough; nil where there is none.
  var deadline: Instant? { first < entries.count ? entries[first].begun + Self.patience : nil }

  /// How many datagrams wait for pieces.
  var incompleteCount: Int { entries[first...].count { $0.missing > 0 } }

  /// Takes a piece. Gives where the datagram lies where this was its last one.
  mutating func take(
    _ header: FragmentHeader, flow: UInt16, _ bytes: RawSpan, at now: Instant,
    _ counters: inout Counters
  ) -> Range<Int>? {
    lastUsed = now
    expire(at: now, &counters)
    let place = find(header.datagram) ?? begin(header, flow: flow, at: now, &counters)
    guard entries[place].cut == header.cut, entries[place].flow == flow else {
      counters.drop(.badFragment)
      return nil
    }
    guard entries[place].mark(header.index) else {
      counters.drop(.repeatedFrame)
      return nil
    }
    let start = entries[place].start
    unsafe bytes.withUnsafeBytes {
      let target = start &+ header.cut.range(of: header.index).lowerBound
      unsafe UnsafeMutableRawBufferPointer(rebasing: memory[target...]).copyMemory(from: $0)
    }
    return entries[place].missing == 0 ? start..<entries[place].end : nil
  }

  /// Adds a datagram that is complete to a batch, before another piece is taken; false where that is
  /// full.
  func deliver(
    _ range: Range<Int>, flow: Int, destination: Endpoint, to datagrams: inout DatagramBatch
  ) -> Bool {
    let memory = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(memory))
    return datagrams.append(
      flow: flow, destination: destination, copying: memory.extracting(range))
  }

  /// Forgets the datagrams that have waited long enough.
  mutating func expire(at now: Instant, _ counters: inout Counters) {
    while let deadline, deadline <= now { removeFirst(.incompleteDatagram, &counters) }
  }

  /// Forgets all datagrams.
  mutating func removeAll(_ reason: DropReason, _ counters: inout Counters) {
    while first < entries.count { removeFirst(reason, &counters) }
  }

  private func find(_ datagram: UInt32) -> Int? {
    guard first < entries.count, Self.distance(datagram, from: newest) <= 0 else { return nil }
    return entries[first...].lastIndex { $0.datagram == datagram }
  }

  /// Signed distance of two 24-bit numbers.
  private static func distance(_ datagram: UInt32, from other: UInt32) -> Int32 {
    Int32(bitPattern: (datagram &- other) << 8) >> 8
  }

  private mutating func begin(
    _ header: FragmentHeader, flow: UInt16, at now: Instant, _ counters: inout Counters
  ) -> Int {
    if entries.count &- first == Self.countLimit { removeFirst(.fragmentLimit, &counters) }
    let start = makeRoom(for: header.cut.total, &counters)
    if first == entries.count || Self.distance(header.datagram, from: newest) > 0 {
      newest = header.datagram
    }
    if first >= Self.countLimit {
      entries.removeFirst(first)
      first = 0
    }
    entries.append(
      Entry(
        datagram: header.datagram, flow: flow, cut: header.cut, start: start, begun: now,
        missing: header.cut.count))
    return entries.count &- 1
  }

  /// Where there is room for so many bytes, once the oldest datagrams have made it.
  private mutating func makeRoom(for byteCount: Int, _ counters: inout Counters) -> Int {
    while first < entries.count {
      let (oldest, next) = (entries[first].start, entries[entries.count &- 1].end)
      if next <= oldest {
        // The free bytes are between the newest and the oldest.
        if byteCount <= oldest &- next { return next }
      } else if byteCount <= Self.byteCount &- next {
        return next
      } else if byteCount <= oldest {
        return 0
      }
      removeFirst(.fragmentLimit, &counters)
    }
    return 0
  }

  /// Forgets the oldest datagram; one that was complete is no loss.
  private mutating func removeFirst(_ reason: DropReason, _ counters: inout Counters) {
    if entries[first].missing > 0 { counters.drop(reason) }
    first &+= 1
  }
}
