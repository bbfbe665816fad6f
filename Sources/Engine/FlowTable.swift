// Flows: one app endpoint each (client), or one socket to the target each (server).

internal import Wire

/// One flow.
struct Flow {
  let session: Int
  /// The flow's name on the wire, chosen by the client.
  let id: UInt16
  /// The app; nil on a server, where the flow has a socket of its own.
  let endpoint: Endpoint?
  /// When a datagram last passed, either way.
  var lastActive: Instant
  /// Which channels its datagrams take.
  var course = Course()
}

/// All flows, found by what arrives: an app's endpoint, or a frame's flow id.
struct FlowTable: ~Copyable {
  private struct Key: Hashable {
    let session: Int
    let id: UInt16
  }

  private var flows = Slab<Flow>()
  private var byKey: [Key: Int] = [:]
  private var byEndpoint: [Endpoint: Int] = [:]
  // Most datagrams belong to the flow of the one before.
  private var lastKey: (key: Key, index: Int)?
  private var lastEndpoint: (endpoint: Endpoint, index: Int)?

  var count: Int { flows.count }

  func contains(_ index: Int) -> Bool { flows.contains(index) }

  subscript(index: Int) -> Flow {
    @inline(__always) _read { yield flows[index] }
    @inline(__always) _modify { yield &flows[index] }
  }

  mutating func index(session: Int, id: UInt16) -> Int? {
    let key = Key(session: session, id: id)
    if let lastKey, lastKey.key == key { return lastKey.index }
    guard let index = byKey[key] else { return nil }
    lastKey = (key, index)
    return index
  }

  mutating func index(endpoint: Endpoint) -> Int? {
    if let lastEndpoint, lastEndpoint.endpoint == endpoint { return lastEndpoint.index }
    guard let index = byEndpoint[endpoint] else { return nil }
    lastEndpoint = (endpoint, index)
    return index
  }

  mutating func insert(_ flow: Flow) -> Int {
    let index = flows.insert(flow)
    byKey[Key(session: flow.session, id: flow.id)] = index
    if let endpoint = flow.endpoint { byEndpoint[endpoint] = index }
    return index
  }

  mutating func remove(_ index: Int) {
    let flow = flows[index]
    byKey[Key(session: flow.session, id: flow.id)] = nil
    if let endpoint = flow.endpoint { byEndpoint[endpoint] = nil }
    lastKey = nil
    lastEndpoint = nil
    flows.remove(index)
  }

  /// Lets the index of a removed flow be given again.
  mutating func recycle(_ index: Int) { flows.recycle(index) }

  /// The indices of a session's flows.
  func indices(ofSession session: Int) -> [Int] {
    flows.indices.filter { flows[$0].session == session }
  }
}

/// Gives out flow ids; one that was used rests before it is used again, so that late datagrams
/// never reach a stranger.
struct FlowIDPool: Sendable {
  private var nextFresh = 0
  private var resting: [(id: UInt16, until: Instant)] = []
  /// How many of `resting` were taken again; they are let go of in one go.
  private var taken = 0

  mutating func take(at now: Instant) -> UInt16? {
    if nextFresh <= Int(UInt16.max) {
      defer { nextFresh += 1 }
      return UInt16(nextFresh)
    }
    guard taken < resting.count, resting[taken].until <= now else { return nil }
    defer { taken += 1 }
    return resting[taken].id
  }

  mutating func release(_ id: UInt16, restingUntil moment: Instant) {
    if taken > 0, taken * 2 >= resting.count {
      resting.removeFirst(taken)
      taken = 0
    }
    resting.append((id, moment))
  }
}
