// The sockets of channels on UDP: on a server one a port, or one for all where rules take them to it; on a
// client one a channel.

import Engine
import Glibc
import Kernel
import Logging
import Wire

/// Kernel UDP sockets by their own port.
struct UDPSockets: ~Copyable {
  private var sockets: [UInt16: Place<DatagramSocket>] = [:]
  private var messages = DatagramMessages()
  /// Ports where a peer's host said that nothing listens.
  private var refused: Set<UInt16> = []
  private var reportedErrors: Set<Int32> = []
  /// Segments that the kernel did not take, since the start.
  private(set) var lost = 0

  /// The lowest port that has a socket.
  var firstPort: UInt16? { sockets.keys.min() }

  /// What epoll calls the socket of a port.
  static func token(ofPort port: UInt16) -> UInt64 { Token.firstOfUDP + UInt64(port) }

  /// Takes a socket in.
  mutating func add(_ socket: consuming DatagramSocket, port: UInt16) {
    sockets[port] = Place(socket)
  }

  /// Watches one socket.
  func watch(port: UInt16, _ epoll: borrowing Epoll) throws(SystemError) {
    guard let socket = sockets[port] else { return }
    try epoll.add(socket.value.descriptor.rawValue, token: Self.token(ofPort: port))
  }

  /// Watches all sockets.
  func watch(_ epoll: borrowing Epoll) throws(SystemError) {
    for port in sockets.keys { try watch(port: port, epoll) }
  }

  mutating func remove(port: UInt16) {
    sockets[port] = nil
    refused.remove(port)
  }

  /// Ports that were refused since the last call.
  mutating func takeRefused() -> Set<UInt16> {
    defer { refused.removeAll() }
    return refused
  }

  /// Fills `batch` anew with what came at a port.
  mutating func receive(
    port: UInt16, into batch: inout PacketBatch
  ) throws(SystemError) -> Int {
    guard let socket = sockets[port] else { return 0 }
    let refusals = messages.refusals
    defer { if messages.refusals != refusals { refused.insert(port) } }
    return try socket.value.receive(into: &batch, using: &messages)
  }

  /// Sends the runs of a batch that are for kernel UDP sockets.
  mutating func send(
    _ segments: borrowing SegmentBatch, payloads: borrowing PacketBatch, _ log: Logger
  ) {
    guard !sockets.isEmpty else { return }
    var start = 0
    while start < segments.count {
      var end = start + 1
      if let port = segments[start].datagramPath?.local.port {
        while end < segments.count, segments[end].datagramPath?.local.port == port { end += 1 }
        send(segments, start..<end, port: port, payloads: payloads, log)
      }
      start = end
    }
  }

  private mutating func send(
    _ segments: borrowing SegmentBatch, _ runs: Range<Int>, port: UInt16,
    payloads: borrowing PacketBatch, _ log: Logger
  ) {
    guard let socket = sockets[port] else { return }
    let refusals = messages.refusals
    let result = socket.value.send(segments, runs: runs, payloads: payloads, using: &messages)
    lost += result.lost
    if messages.refusals != refusals { refused.insert(port) }
    guard result.isRefused, result.lastError != ECONNREFUSED,
      reportedErrors.insert(result.lastError).inserted
    else { return }
    log.warning("\(SystemError(call: "send by UDP", code: result.lastError))")
  }
}

extension Tunnel {
  /// Takes all that is there from one UDP socket, for some rounds.
  mutating func receiveDatagrams(
    port: UInt16, for role: inout some TunnelRole & ~Copyable
  ) throws(SystemError) {
    for _ in 0..<Self.rounds {
      let count = try wire.udp.receive(port: port, into: &packets)
      guard count > 0 else { return }
      loopWatch.heard(at: now)
      deliveries.removeAll()
      segments.removeAll()
      engine.decapsulate(&packets, from: .datagrams, into: &deliveries, replies: &segments, at: now)
      role.deliver(&self)
      wire.send(&segments, payloads: packets, nextHops: nextHops)
      handleEvents(for: &role)
      if count < packets.capacity { return }
    }
  }
}
