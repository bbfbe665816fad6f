// Halves of proxies that end TCP connections, as middleboxes for a `World`: what a real TCP makes of the
// client's segments of fake TCP, or of the server's.

import Engine
import Samples
import Wire

/// A TCP that has lost the client's next segment on each of some connections, and waits for it: it keeps what
/// comes behind, and acknowledges each segment by the number of the lost one (RFC 5681, section 4.2).
final class StalledReceiver {
  private unowned let world: World
  /// The client's ports of the connections that are to stall.
  private let ports: Set<UInt16>
  /// Whether its acknowledgments say what it has (RFC 2018).
  private let isSelective: Bool
  private var missing: [UInt16: UInt32] = [:]
  private var next: [UInt16: UInt32] = [:]

  init(_ world: World, ports: Set<UInt16>, isSelective: Bool) {
    self.world = world
    self.ports = ports
    self.isSelective = isSelective
  }

  func pass(_ packet: Packet, _ direction: World.Direction) -> Packet? {
    guard packet.carrier == .tcp else { return packet }
    if direction == .toClient {
      next[packet.destination.port] = packet.end
      return packet
    }
    let port = packet.source.port
    guard ports.contains(port), packet.payloadLength > 0, let next = next[port] else {
      return packet
    }
    guard let missing = missing[port] else {
      missing[port] = packet.sequence
      return nil
    }
    // The client's own acknowledgment goes on: the other half of the proxy is healthy.
    let block = [packet.sequence, packet.end].flatMap { edge in
      [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: edge >> UInt32($0)) }
    }
    world.inject(
      .bare(
        from: packet.destination, to: packet.source, sequence: next, acknowledgment: missing,
        flags: .ack, window: 500, options: isSelective ? [1, 1, 5, 10] + block : []), .toClient)
    return nil
  }
}

/// A proxy that writes the client's stream on in segments of its own: the end of each payload goes with the
/// next one. Frames are whole no more.
final class RecuttingSender {
  private static let shift = 10
  private let ports: Set<UInt16>
  private var rest: [UInt16: [UInt8]] = [:]

  /// For connections from these ports of the client's.
  init(ports: Set<UInt16>) { self.ports = ports }

  func pass(_ packet: Packet, _ direction: World.Direction) -> Packet? {
    let port = packet.source.port
    guard packet.carrier == .tcp, direction == .toServer, ports.contains(port),
      packet.payloadLength > Self.shift
    else { return packet }
    var recut = packet
    let kept = rest[port, default: []]
    rest[port] = Array(packet.bytes.suffix(Self.shift))
    recut.bytes.removeLast(Self.shift)
    recut.bytes.insert(contentsOf: kept, at: packet.headerLength)
    recut.set32(packet.sequence &- UInt32(kept.count), at: packet.headerLength - 16)
    recut.complete()
    return recut
  }
}

/// A TCP that sends the client's segments on, and again when a retransmission timer has run out, whatever
/// was acknowledged.
final class RepeatingSender {
  private unowned let world: World
  private let delay: Duration
  private var copies: [(due: Instant, packet: Packet)] = []
  private var isRepeating = false

  init(_ world: World, after delay: Duration) {
    self.world = world
    self.delay = delay
  }

  func pass(_ packet: Packet, _ direction: World.Direction) -> Packet? {
    if !isRepeating, packet.carrier == .tcp, direction == .toServer, packet.payloadLength > 0 {
      copies.append((world.now + delay, packet))
    }
    return packet
  }

  /// Sends what is due; to be called now and then.
  func repeatDue() {
    isRepeating = true
    for copy in copies where copy.due <= world.now { world.inject(copy.packet, .toServer) }
    copies.removeAll { $0.due <= world.now }
    isRepeating = false
  }
}
