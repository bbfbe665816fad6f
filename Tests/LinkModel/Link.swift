// The link as a state machine: frames go in with the time, and come out with the time.
//
//   arrive ─► outage ─► block ─► blackhole ─► police ─► loss ─► bottleneck ─► delay, jitter ─► leave
//                                                                       └──► held back ──────┘

import Samples
public import Wire

/// An Ethernet link between a client and a server that does to packets what its settings say. The
/// frames themselves stay with the caller, who knows them by the number of a slot.
public struct Link: Sendable {
  /// What it does.
  private var settings = Settings()
  private var counters = BothWays(Counters())
  private var queues = BothWays(ReleaseQueue())
  private var bottlenecks = BothWays(Meter())
  /// Nothing but what is held back may overtake.
  private var lastRelease = BothWays(Instant(nanoseconds: 0))
  /// The first 12 bytes of the first packet.
  private var linkAddresses = BothWays<[UInt8]?>(nil)
  private var flows: FlowTable
  private var nextResets = Instant.distantFuture
  private var random: SplitMix64

  /// A link that carries everything at once. What is random follows from `seed`.
  public init(seed: UInt64, flowLimit: Int = 65_536) {
    random = SplitMix64(seed: seed)
    flows = FlowTable(limit: flowLimit)
  }

  /// Obeys a command.
  public mutating func apply(_ command: String, at now: Instant) throws(CommandError) -> Request {
    let interval = settings.resetInterval
    let request = try settings.apply(command, at: now)
    if settings.resetInterval != interval {
      nextResets = settings.resetInterval.map { now + $0 } ?? .distantFuture
    }
    return request
  }

  /// Takes a frame in. False where the link drops it: its slot is free again.
  public mutating func arrive(
    _ frame: RawSpan, slot: Int, _ direction: Direction, at now: Instant
  ) -> Bool {
    counters[direction][.arrived] += 1
    counters[direction][.arrivedBytes] += frame.byteCount
    guard let packet = Packet(frame: frame) else {
      counters[direction][.neighbourly] += 1
      queues[direction].insert(slot: slot, byteCount: frame.byteCount, release: now)
      return true
    }
    if linkAddresses[direction] == nil {
      linkAddresses[direction] = (0..<12).map { frame.byte(at: $0) }
    }
    let key = FlowKey(packet, direction)
    if let fate = drop(packet, of: key, frame.byteCount, direction, at: now) {
      counters[direction][fate] += 1
      flows[key].dropped[direction] += 1
      return false
    }
    flows[key].note(packet, direction)
    let release = release(direction, at: now)
    queues[direction].insert(slot: slot, byteCount: frame.byteCount, release: release)
    return true
  }

  /// The next frame that is to leave; nil where none is due. The caller sends it.
  public mutating func leave(_ direction: Direction, at now: Instant) -> Waiting? {
    guard let waiting = queues[direction].takeDue(at: now) else { return nil }
    counters[direction][.sent] += 1
    counters[direction][.sentBytes] += waiting.byteCount
    return waiting
  }

  /// When the link is to be asked again.
  public var nextDeadline: Instant {
    [queues.up.first, queues.down.first, nextResets].compactMap(\.self).min()!
  }

  /// The counters of one way.
  public func counters(_ direction: Direction) -> Counters {
    var counters = counters[direction]
    counters[.waiting] = queues[direction].count
    return counters
  }

  /// Counts a frame that the caller had to drop: it was no wire packet, or did not reach its buffers.
  public mutating func countDropped(_ count: Count, _ direction: Direction, _ number: Int = 1) {
    counters[direction][.arrived] += number
    counters[direction][count] += number
  }

  /// Counts frames that `leave` gave out and that could not be sent.
  public mutating func countUnsent(_ direction: Direction, _ number: Int, byteCount: Int) {
    counters[direction][.sent] -= number
    counters[direction][.sentBytes] -= byteCount
    counters[direction][.mislaid] += number
  }

  /// A line for each flow.
  public var flowLines: [String] {
    flows.entries.map { key, flow in
      "\(key) up \(flow.carried.up) dropped \(flow.dropped.up)"
        + " down \(flow.carried.down) dropped \(flow.dropped.down)"
    }.sorted()
  }

  /// The RSTs that are due, as frames, in pairs: for the server, for the client. The caller finds each a
  /// slot and gives it to `inject`.
  public mutating func takeDueResets(at now: Instant) -> [ForgedFrame] {
    guard now >= nextResets else { return [] }
    nextResets = settings.resetInterval.map { now + $0 } ?? .distantFuture
    return takeResets()
  }

  /// RSTs into every TCP connection on which anything passed since the last ones.
  public mutating func takeResets() -> [ForgedFrame] {
    guard let up = linkAddresses.up, let down = linkAddresses.down else { return [] }
    return flows.takeMoved().flatMap { key, marks -> [ForgedFrame] in
      guard let upMark = marks.up, let downMark = marks.down else { return [] }
      return [
        .reset(key, .up, after: upMark, linkAddresses: up),
        .reset(key, .down, after: downMark, linkAddresses: down),
      ]
    }
  }

  /// Sends a frame of the link's own behind what is on its way.
  public mutating func inject(_ frame: ForgedFrame, slot: Int, at now: Instant) {
    counters[frame.direction][.resets] += 1
    let release = max(now + settings.ways[frame.direction].delay, lastRelease[frame.direction])
    queues[frame.direction].insert(slot: slot, byteCount: frame.bytes.count, release: release)
  }

  /// Why the packet goes no further; nil where it does.
  private mutating func drop(
    _ packet: Packet, of key: FlowKey, _ byteCount: Int, _ direction: Direction, at now: Instant
  ) -> Count? {
    flows[key].lastSeen = now
    let path = settings.ways[direction]
    if now < path.cutUntil { return .cut }
    if settings.blocked.contains(packet.transport) { return .blocked }
    let carried = flows[key].carried.up + flows[key].carried.down
    if settings.blackholes.swallows(packet, of: key, carried: carried, direction) {
      return .blackholed
    }
    if let policing = path.policing[packet.transport],
      flows[key].policer[direction].take(
        byteCount, at: now, rate: policing.rate, room: policing.burst) == nil
    {
      return .policed
    }
    if path.loss.takes(&random) { return .lost }
    if let bottleneck = path.bottleneck,
      bottlenecks[direction].take(
        byteCount, at: now, rate: bottleneck.rate, room: bottleneck.queue) == nil
    {
      return .overflowed
    }
    return nil
  }

  /// When a packet that passed everything is to leave.
  private mutating func release(_ direction: Direction, at now: Instant) -> Instant {
    let path = settings.ways[direction]
    let start = path.bottleneck == nil ? now : max(now, bottlenecks[direction].busyUntil)
    var release = start + path.delay
    if path.jitter > .zero {
      release =
        release + .nanoseconds(Int64.random(in: 0...path.jitter.wholeNanoseconds, using: &random))
    }
    if path.reordering.takes(&random) {
      counters[direction][.reordered] += 1
      return max(release, lastRelease[direction]) + path.holdBack
    }
    lastRelease[direction] = max(release, lastRelease[direction])
    return lastRelease[direction]
  }
}
