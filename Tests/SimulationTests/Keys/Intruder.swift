// Somebody who sees packets, keeps them, and sends them or others on connections of his own.

import Engine
import Wire

/// An intruder at an address of his own.
struct Intruder {
  let endpoint: Endpoint

  init(port: UInt16 = 6_666) { endpoint = Endpoint(IPAddress(ipv4: 0xCB00_7107), port) }

  /// Opens a connection to the server and sends `payload` as its first data. Gives what comes back
  /// after the SYN-ACK.
  func firstData(_ payload: [UInt8], to server: Host, at now: Instant) -> [Packet] {
    let target = Endpoint(World.serverAddress, 10_001)
    _ = server.takeOutgoing()
    server.receive(
      [Packet.bare(from: endpoint, to: target, sequence: 99, acknowledgment: 0, flags: .syn)],
      at: now)
    guard let answer = server.takeOutgoing().first?.packet, answer.flags == [.syn, .ack] else {
      return []
    }
    let packet = Packet.bare(
      from: endpoint, to: target, sequence: 100, acknowledgment: answer.sequence &+ 1,
      flags: [.ack, .psh], payload: payload)
    server.receive([packet], at: now)
    return server.takeOutgoing().map(\.packet)
  }
}

/// Keeps what passes a world's link.
final class Recorder {
  private(set) var packets: [(packet: Packet, direction: World.Direction)] = []

  init(_ world: World) {
    world.middlebox = { packet, direction in
      self.packets.append((packet, direction))
      return packet
    }
  }

  /// What went to the server.
  var toServer: [Packet] { packets.filter { $0.direction == .toServer }.map(\.packet) }

  /// The clients' first messages.
  var firstMessages: [Packet] { toServer.filter { $0.firstByte == HandshakeRecord.type } }
}

extension Packet {
  /// What is behind the TCP header.
  var payload: [UInt8] { Array(bytes[headerLength...]) }
}

extension EngineConfiguration {
  /// Whether it is a server's.
  var isServer: Bool { if case .server = role { true } else { false } }
}
