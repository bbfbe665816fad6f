// RSTs of the link's own, as a middlebox sends them: to both ends, in the name of the peer.

import Wire

/// A frame that the link sends of its own accord.
public struct ForgedFrame: Equatable, Sendable {
  /// Which way it goes.
  public let direction: Direction
  /// The whole frame.
  public let bytes: [UInt8]
}

extension ForgedFrame {
  /// A RST right behind what the sender sent last: its receiver expects just that sequence number (RFC
  /// 5961, section 3.2), if nothing was lost behind the link. `linkAddresses` are the first 12 bytes of
  /// a frame that goes the same way.
  static func reset(
    _ key: FlowKey, _ direction: Direction, after mark: SegmentMark, linkAddresses: [UInt8]
  ) -> ForgedFrame {
    let isUp = direction == .up
    let (source, destination) = isUp ? (key.client, key.server) : (key.server, key.client)
    let header = TCPHeader(
      sourcePort: isUp ? key.clientPort : key.serverPort,
      destinationPort: isUp ? key.serverPort : key.clientPort, sequence: mark.end,
      acknowledgment: mark.acknowledgment, flags: [.rst, .ack], window: mark.window)
    var segment = [UInt8](repeating: 0, count: TCPHeader.byteCount)
    var checksum = Checksum()
    checksum.add(source.octets.span.octets)
    checksum.add(destination.octets.span.octets)
    checksum.add(UInt16(6))
    checksum.add(UInt16(segment.count))
    emit(header, checksum: 0, into: &segment)
    checksum.add(segment.span.octets)
    emit(header, checksum: checksum.value, into: &segment)
    return ForgedFrame(
      direction: direction,
      bytes: linkAddresses + ipHeader(source, destination, payloadCount: segment.count) + segment)
  }

  private static func emit(_ header: TCPHeader, checksum: UInt16, into segment: inout [UInt8]) {
    var span = segment.mutableSpan
    var bytes = span.mutableOctets
    header.emit(into: &bytes, at: 0, checksum: checksum)
  }

  // The Ethernet type and an IP header for TCP, TTL 64.
  private static func ipHeader(
    _ source: Address, _ destination: Address, payloadCount: Int
  ) -> [UInt8] {
    guard source.isV4 else {
      return [0x86, 0xDD, 0x60, 0, 0, 0, 0, UInt8(payloadCount), 6, 64]
        + source.octets + destination.octets
    }
    var header: [UInt8] = [0x45, 0, 0, UInt8(20 + payloadCount), 0, 0, 0x40, 0, 64, 6, 0, 0]
    header += source.octets + destination.octets
    var checksum = Checksum()
    checksum.add(header.span.octets)
    header[10] = UInt8(checksum.value >> 8)
    header[11] = UInt8(checksum.value & 0xFF)
    return [0x08, 0x00] + header
  }
}

extension Address {
  /// As in a header of its family.
  fileprivate var octets: [UInt8] {
    isV4 ? octets(of: v4) : octets(of: high) + octets(of: low)
  }

  private func octets<Number: FixedWidthInteger>(of number: Number) -> [UInt8] {
    stride(from: Number.bitWidth - 8, through: 0, by: -8).map {
      UInt8(truncatingIfNeeded: number >> Number($0))
    }
  }
}
