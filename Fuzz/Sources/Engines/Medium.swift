// What is on its way between the two ends, in the hands of someone who sees, keeps, changes and
// repeats it.

import Samples
import Wire

/// Where a packet goes.
enum Direction {
  case toServer, toClient

  /// The direction that a script's choice says.
  init(_ choice: UInt8) { self = choice & 1 == 0 ? .toServer : .toClient }
}

/// The packets under way, and what their observer knows.
struct Medium {
  /// More is lost, as on a real wire.
  private static let limit = 64

  private var toServer: [Packet] = []
  private var toClient: [Packet] = []
  /// What passed lately, to be repeated.
  private var past: [(packet: Packet, direction: Direction)] = []
  /// The connections that were seen.
  private(set) var lines: [Line] = []

  var isEmpty: Bool { toServer.isEmpty && toClient.isEmpty }

  /// Puts a packet on its way, unseen.
  mutating func put(_ packet: Packet, _ direction: Direction) {
    switch direction {
    case .toServer: if toServer.count < Self.limit { toServer.append(packet) }
    case .toClient: if toClient.count < Self.limit { toClient.append(packet) }
    }
  }

  /// Puts a packet on its way and takes note of it.
  mutating func pass(_ packet: Packet, _ direction: Direction) {
    observe(packet.bytes.rawSpan, direction)
    past.append((packet, direction))
    if past.count > Self.limit { past.removeFirst() }
    put(packet, direction)
  }

  /// Takes the first packets off, at most `limit` each way.
  mutating func take(atMost limit: Int) -> (toServer: [Packet], toClient: [Packet]) {
    let packets = (Array(toServer.prefix(limit)), Array(toClient.prefix(limit)))
    toServer.removeFirst(packets.0.count)
    toClient.removeFirst(packets.1.count)
    return packets
  }

  private mutating func observe(_ bytes: RawSpan, _ direction: Direction) {
    guard let packet = IPPacket(bytes), let segment = TCPSegment(packet.payload) else { return }
    let source = Endpoint(packet.source, segment.sourcePort)
    let destination = Endpoint(packet.destination, segment.destinationPort)
    let (client, server) =
      direction == .toServer ? (source, destination) : (destination, source)
    if let index = index(client, server) {
      lines[index].observe(segment, direction)
    } else if lines.count < Self.limit {
      var line = Line(client: Line.Side(endpoint: client), server: Line.Side(endpoint: server))
      line.observe(segment, direction)
      lines.append(line)
    }
  }

  /// Says who the client of a connection is.
  mutating func setInsider(_ insider: Insider, ofLine index: Int) { lines[index].insider = insider }

  /// The connection of two endpoints among `lines`.
  func index(_ client: Endpoint, _ server: Endpoint) -> Int? {
    lines.firstIndex { $0.client.endpoint == client && $0.server.endpoint == server }
  }
}

// What the script does to packets under way.
extension Medium {
  /// Loses one.
  mutating func lose(_ script: inout Script) {
    let choice = script.byte()
    let place = Int(choice >> 1)
    switch Direction(choice) {
    case .toServer: if !toServer.isEmpty { toServer.remove(at: place % toServer.count) }
    case .toClient: if !toClient.isEmpty { toClient.remove(at: place % toClient.count) }
    }
  }

  /// Changes one in a few places.
  mutating func change(_ script: inout Script) {
    let choice = script.byte()
    let place = Int(choice >> 1)
    switch Direction(choice) {
    case .toServer: if !toServer.isEmpty { script.mutate(&toServer[place % toServer.count]) }
    case .toClient: if !toClient.isEmpty { script.mutate(&toClient[place % toClient.count]) }
    }
  }

  /// Lets one come again, perhaps changed.
  mutating func again(_ script: inout Script) {
    guard !past.isEmpty else { return }
    var (packet, direction) = past[script.choice(of: past.count)]
    if script.byte() & 1 == 1 { script.mutate(&packet) }
    put(packet, direction)
  }
}
