// Datagrams that an app sent before the first channel was up: held for a moment, then sent in
// order.

internal import Wire

/// A bounded queue of datagrams.
struct HoldQueue: Sendable {
  /// The most datagrams held.
  static let countLimit = 64
  /// How long a datagram is worth sending.
  static let ageLimit = Duration.seconds(3)

  struct Entry: Sendable {
    let flow: UInt16
    let bytes: [UInt8]
    let arrival: Instant
  }

  /// The most bytes held.
  let byteLimit: Int
  private(set) var entries: [Entry] = []

  init(byteLimit: Int) { self.byteLimit = byteLimit }

  var isEmpty: Bool { entries.isEmpty }

  /// Keeps a copy of the datagram; false where the queue is full.
  mutating func append(_ datagram: RawSpan, flow: UInt16, at now: Instant) -> Bool {
    let byteCount = entries.reduce(datagram.byteCount) { $0 + $1.bytes.count }
    guard entries.count < Self.countLimit, byteCount <= byteLimit else { return false }
    let bytes = (0..<datagram.byteCount).map { datagram.byte(at: $0) }
    entries.append(Entry(flow: flow, bytes: bytes, arrival: now))
    return true
  }

  /// Forgets the datagrams that arrived before `moment`; gives how many.
  mutating func removeOlder(than moment: Instant) -> Int {
    let expired = entries.prefix { $0.arrival < moment }.count
    entries.removeFirst(expired)
    return expired
  }

  /// Takes the first entry.
  mutating func removeFirst() -> Entry { entries.removeFirst() }
}
