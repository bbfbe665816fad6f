// What middleboxes do to SYNs.

import Wire

/// Middleboxes for a `World`.
enum Middlebox {
  /// Takes the window scale out of SYN-ACKs: NOPs stand in its place.
  static func withoutScale(_ packet: Packet, _: World.Direction) -> Packet? {
    guard packet.flags == [.syn, .ack] else { return packet }
    return replacing(packet, kind: 3) { option in option.map { _ in 1 } }
  }

  /// A proxy that gives the client the server's windows with a scale of its own.
  static func rescaling(to scale: UInt8) -> World.Middlebox {
    { packet, direction in
      guard direction == .toClient else { return packet }
      if packet.flags.contains(.syn) { return replacing(packet, kind: 3) { _ in [3, 3, scale] } }
      var changed = packet
      let window = min((packet.window << 7) >> Int(scale), 65_535)
      changed.bytes[34] = UInt8(window >> 8)
      changed.bytes[35] = UInt8(window & 255)
      changed.complete()
      return changed
    }
  }

  /// Lowers the MSS of SYN and SYN-ACK.
  static func clamping(to mss: UInt16) -> World.Middlebox {
    { packet, _ in
      guard packet.flags.contains(.syn) else { return packet }
      return replacing(packet, kind: 2) { _ in [2, 4, UInt8(mss >> 8), UInt8(mss & 255)] }
    }
  }

  /// A firewall that adds to the client's sequence numbers and takes it off the acknowledgments, and
  /// the other way round for the server's.
  static func shiftingSequence(by offset: UInt32) -> World.Middlebox {
    { packet, _ in
      var changed = packet
      changed.set32(packet.sequence &+ offset, at: 24)
      if packet.flags.contains(.ack) {
        changed.set32(packet.acknowledgment &- offset, at: 28)
      }
      changed.complete()
      return changed
    }
  }

  /// A NAT that forgot its mappings and makes new ones, `offset` ports higher.
  static func rebinding(by offset: UInt16) -> World.Middlebox {
    { packet, direction in
      var changed = packet
      if direction == .toServer {
        changed.setSourcePort(packet.source.port &+ offset)
      } else {
        // Nothing leads back from an old mapping.
        guard packet.destination.port > 50_000 else { return nil }
        changed.setDestinationPort(packet.destination.port &- offset)
      }
      changed.complete()
      return changed
    }
  }

  private static func replacing(
    _ packet: Packet, kind: UInt8, by change: ([UInt8]) -> [UInt8]
  ) -> Packet {
    var changed = packet
    var offset = 40
    while offset < packet.headerLength, packet.bytes[offset] != 0 {
      let length = packet.bytes[offset] == 1 ? 1 : Int(packet.bytes[offset + 1])
      let range = offset..<offset + length
      if packet.bytes[offset] == kind {
        changed.bytes.replaceSubrange(range, with: change(Array(packet.bytes[range])))
      }
      offset += length
    }
    changed.complete()
    return changed
  }
}
