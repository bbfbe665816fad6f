// IPv6 headers with what may stand behind them, and the checksum of what they carry.

import Samples
import Wire

extension FuzzTarget {
  static let ipv6 = FuzzTarget(name: "ipv6") { input in
    guard let packet = IPPacket(input), !packet.source.isIPv4 else { return }
    checkPayload(of: packet, in: input)
    require(packet.headerLength % 8 == 0, "extension headers have multiples of 8 bytes")
    let header = IPv6Header(
      source: packet.source, destination: packet.destination, flowLabel: input.be32(at: 0),
      nextHeader: packet.protocolNumber, payloadLength: packet.payload.byteCount)
    var bytes = [UInt8](repeating: 0, count: IPv6Header.byteCount + packet.payload.byteCount)
    bytes.withMutableRawSpan { header.emit(into: &$0) }
    checkHeader(of: packet, in: bytes)
  } seeds: {
    let padding: [UInt8] = [1, 4, 0, 0, 0, 0]
    return [
      "syn": KernelSegments.synOfIPv6, "syn-ack": KernelSegments.synAckOfIPv6,
      "data": KernelSegments.dataOfIPv6, "fin": KernelSegments.finAckOfIPv6,
      "options": extended(0, [60, 0] + padding + [6, 0] + padding),
      "routing": extended(43, [6, 0, 4, 0, 0, 0, 0, 0]),
      "on-its-way": extended(43, [6, 0, 4, 1, 0, 0, 0, 0]),
      "fragment": extended(44, [6, 0, 0, 1, 0, 0, 0, 9]),
    ]
  }

  /// A kernel's SYN with these bytes between its headers, the first of them a header of this kind.
  private static func extended(_ kind: UInt8, _ headers: [UInt8]) -> [UInt8] {
    var bytes = KernelSegments.synOfIPv6
    bytes[5] += UInt8(headers.count)
    bytes[6] = kind
    bytes.insert(contentsOf: headers, at: 40)
    return bytes
  }
}
