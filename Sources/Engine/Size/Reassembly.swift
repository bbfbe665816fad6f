// Datagrams that come in pieces: bounded for each session, and for all.

internal import Wire

/// The incomplete datagrams of all sessions.
struct Reassembly: ~Copyable {
  private var rings = Slab<PieceRing>()
  private var bySession: [Int: Int] = [:]
  /// How many sessions may have incomplete datagrams at a time.
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// How many datagrams wait for pieces.
  var incompleteCount: Int { rings.indices.reduce(0) { $0 + rings[$1].incompleteCount } }

  /// Takes a piece of a session's datagram. Gives where to find the datagram where this was its last
  /// one.
  mutating func take(
    _ header: FragmentHeader, flow: UInt16, _ bytes: RawSpan, session: Int, at now: Instant,
    _ counters: inout Counters
  ) -> Place? {
    let ring = bySession[session] ?? makeRing(for: session, at: now, &counters)
    let range = rings[ring].take(header, flow: flow, bytes, at: now, &counters)
    return range.map { Place(ring: ring, range: $0) }
  }

  /// Where a complete datagram lies.
  struct Place {
    fileprivate let ring: Int
    fileprivate let range: Range<Int>
  }

  /// Adds a complete datagram to a batch, before another piece is taken; false where that is full.
  func deliver(
    _ place: Place, flow: Int, destination: Endpoint, to datagrams: inout DatagramBatch
  ) -> Bool {
    rings[place.ring].deliver(place.range, flow: flow, destination: destination, to: &datagrams)
  }

  /// Where there are too many sessions with pieces, the one that had none for longest makes room.
  private mutating func makeRing(
    for session: Int, at now: Instant, _ counters: inout Counters
  ) -> Int {
    if rings.count == limit,
      let idle = bySession.min(by: { rings[$0.value].lastUsed < rings[$1.value].lastUsed })
    {
      rings[idle.value].removeAll(.fragmentLimit, &counters)
      remove(session: idle.key)
    }
    let index = rings.insert(PieceRing(at: now))
    bySession[session] = index
    return index
  }

  /// The session is gone, and with it its pieces.
  mutating func remove(session: Int) {
    guard let ring = bySession.removeValue(forKey: session) else { return }
    rings.remove(ring)
    rings.recycle(ring)
  }

  /// Forgets what has waited long enough, and lets go of the memory of sessions that have nothing
  /// left. Gives when to look again.
  mutating func expire(at now: Instant, _ counters: inout Counters) -> Instant? {
    var next: Instant?
    for (session, ring) in bySession {
      rings[ring].expire(at: now, &counters)
      guard let deadline = rings[ring].deadline else {
        remove(session: session)
        continue
      }
      next = min(next ?? deadline, deadline)
    }
    return next
  }
}
