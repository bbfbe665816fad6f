// One tunnel's loop: it moves batches between the sockets and the engine, and nothing else.
//
//   epoll ─► packets ─► engine.decapsulate ─► datagrams ─► role (apps or targets)
//         ─► role's datagrams ─► engine.encapsulate ─► segments ─► wire
//         ─► network changed ─► next hops, filter
//         ─► a deadline ─► engine.advance

import Engine
import Glibc
import Kernel
import Logging
import Wire

/// What differs between the roles: where datagrams go to and come from, and who opens channels.
protocol TunnelRole: ~Copyable {
  /// The filter of the packet socket of a family.
  func filter(
    _ family: AddressFamily, addresses: [IPAddress]
  ) throws(SystemError) -> SocketFilter
  /// The loop is about to start: watch the role's sockets.
  mutating func begin(_ tunnel: inout Tunnel) throws(SystemError)
  /// One of the role's sockets is readable.
  mutating func receive(token: UInt64, _ tunnel: inout Tunnel)
  /// Hands out the tunnel's deliveries.
  mutating func deliver(_ tunnel: inout Tunnel)
  /// Does what the engine asks for.
  mutating func handle(_ event: Event, _ tunnel: inout Tunnel)
  /// Tells the engine where hosts said that nothing listens.
  mutating func heedRefusals(_ tunnel: inout Tunnel)
  /// The routes, links or addresses are others now.
  mutating func networkChanged(_ tunnel: inout Tunnel)
  /// Where the role connects to and from.
  var places: ProgramStatus.Places { get }
  /// When the role itself has something to do.
  var nextDeadline: Instant { get }
  /// Does what is due.
  mutating func advance(_ tunnel: inout Tunnel)
}

/// What both roles have: the engine, the wire, the batches.
struct Tunnel: ~Copyable {
  /// How often in a row one socket is read before the others have their turn.
  static let rounds = 4

  var engine: TunnelEngine
  var wire: WireSockets
  var nextHops: NextHops
  var messages = DatagramMessages()
  /// Packets from the wire.
  var packets = PacketBatch(capacity: 32, slotSize: PacketSocket.slotSize)
  /// Datagrams from apps or targets.
  var datagrams = PacketBatch(capacity: 64, slotSize: DatagramSocket.slotSize)
  /// Has room for copies of all datagrams: a session that sends each twice may seal a copy. Memory that
  /// nobody writes to is none.
  var segments = SegmentBatch(runs: 8192, pieces: 16_384, arenaSize: 6 << 20)
  var deliveries = DatagramBatch(datagrams: 16_384, arenaSize: 4 << 20)
  var epoll: Epoll
  var now: Instant
  var clockReadAt = Instant(nanoseconds: 0)
  /// Datagrams that apps or targets did not take.
  var undelivered = 0
  var fallback = Fallback()
  var loopWatch: LoopWatch
  /// The latest failure to follow the network.
  var networkError: SystemError?
  let keySource: KeySource
  /// For tests: how far the time on the wall is off.
  let clockOffset: Duration
  let log: Logger

  /// Tells the engine the time on the wall, at most once a second: somebody may set the clock.
  mutating func readClock() {
    guard now - clockReadAt >= .seconds(1) else { return }
    clockReadAt = now
    let offset = clockOffset.wholeNanoseconds / 1_000_000
    engine.setClock(UInt64(clamping: Int64(clamping: WallClock.now()) &+ offset), at: now)
  }

  /// Takes all that is there from the packet socket of a family, for some rounds.
  mutating func receivePackets(
    _ family: AddressFamily, for role: inout some TunnelRole & ~Copyable
  ) throws(SystemError) {
    for _ in 0..<Self.rounds {
      let count = try wire.receive(family, into: &packets)
      guard count > 0 else { return }
      loopWatch.heard(at: now)
      deliveries.removeAll()
      segments.removeAll()
      engine.decapsulate(&packets, into: &deliveries, replies: &segments, at: now)
      role.deliver(&self)
      wire.send(&segments, payloads: packets, nextHops: nextHops)
      handleEvents(for: &role)
      // Nothing more was there, and epoll tells what has come since.
      if count < packets.capacity { return }
    }
  }

  /// Reads one of the role's sockets into the tunnel, for some rounds. Tells whether anything was there.
  @discardableResult
  mutating func encapsulate(
    from socket: borrowing DatagramSocket, _ origin: DatagramOrigin
  ) -> Bool {
    do throws(SystemError) {
      for round in 0..<Self.rounds {
        let count = try socket.receive(into: &datagrams, using: &messages)
        guard count > 0 else { return round > 0 }
        if loopWatch.isSuspicious(at: now) { lookForLoop() }
        segments.removeAll()
        engine.encapsulate(&datagrams, from: origin, into: &segments, at: now)
        wire.send(&segments, payloads: datagrams, nextHops: nextHops)
        if count < datagrams.capacity { break }
      }
      return true
    } catch {
      log.debug("\(error)")
      return false
    }
  }

  /// Does what is due.
  mutating func advance(for role: inout some TunnelRole & ~Copyable) {
    while engine.nextDeadline <= now {
      segments.removeAll()
      engine.advance(to: now, into: &segments)
      if segments.count > 0 { loopWatch.sent(at: now) }
      wire.send(&segments, payloads: packets, nextHops: nextHops)
      handleEvents(for: &role)
    }
  }

  /// Does what the engine asks for; what that sends is sent.
  mutating func handleEvents(for role: inout some TunnelRole & ~Copyable) {
    segments.removeAll()
    while let event = engine.nextEvent() { role.handle(event, &self) }
    if segments.count > 0 { loopWatch.sent(at: now) }
    wire.send(&segments, payloads: packets, nextHops: nextHops)
  }
}
