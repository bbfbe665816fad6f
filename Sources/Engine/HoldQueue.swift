// Datagrams that an app sent before the first channel was up: held for a moment, then sent in
// order.

internal import Wire

/// A bounded queue of datagrams.
struct HoldQueue: Sendable {
  /// The most datagrams held.
  static let countLimit = 64
  /// The most bytes held.
  static let byteLimit = 128 << 10
  /// How long a datagram is worth sending.
  static let ageLimit = Duration.seconds(3)

  struct Entry: Sendable {
    let flow: UInt16
    let range: Range<Int>
    let arrival: Instant
  }

  private var bytes: [UInt8] = []
  private(set) var entries: [Entry] = []

  var isEmpty: Bool { entries.isEmpty }

  /// Keeps a copy of the datagram; false where the queue is full.
  mutating func append(_ datagram: RawSpan, flow: UInt16, at now: Instant) -> Bool {
    guard entries.count < Self.countLimit, bytes.count + datagram.byteCount <= Self.byteLimit
    else { return false }
    let start = bytes.count
    for offset in 0..<datagram.byteCount { bytes.append(datagram.byte(at: offset)) }
    entries.append(Entry(flow: flow, range: start..<bytes.count, arrival: now))
    return true
  }

  /// The bytes of an entry.
  @_lifetime(borrow self)
  func datagram(_ entry: Entry) -> RawSpan { bytes.span.octets.extracting(entry.range) }

  /// Forgets the datagrams that arrived before `moment`; gives how many.
  mutating func removeOlder(than moment: Instant) -> Int {
    let count = entries.count
    entries.removeAll { $0.arrival < moment }
    if entries.isEmpty { bytes.removeAll() }
    return count - entries.count
  }

  /// Forgets the first entry.
  mutating func removeFirst() {
    entries.removeFirst()
    if entries.isEmpty { removeAll() }
  }

  mutating func removeAll() {
    bytes.removeAll()
    entries.removeAll()
  }
}
