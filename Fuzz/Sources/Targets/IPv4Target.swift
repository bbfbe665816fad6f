// IPv4 headers, and the checksum of what they carry.

import Samples
import Wire

extension FuzzTarget {
  static let ipv4 = FuzzTarget(name: "ipv4") { input in
    guard let packet = IPPacket(input), packet.source.isIPv4 else { return }
    require(
      packet.headerLength + packet.payload.byteCount <= input.byteCount, "a packet is inside")
    require(
      TCPSegment.isChecksumValid(of: packet) == (plainSum(of: packet) == 0xFFFF),
      "the checksum is RFC 1071's")
    let header = IPv4Header(
      source: packet.source, destination: packet.destination, identification: input.be16(at: 4),
      protocolNumber: packet.protocolNumber, payloadLength: packet.payload.byteCount)
    var bytes = [UInt8](repeating: 0, count: IPv4Header.byteCount + packet.payload.byteCount)
    bytes.withMutableRawSpan { header.emit(into: &$0) }
    guard let again = IPPacket(bytes.rawSpan) else {
      return require(false, "a header that is written can be read")
    }
    require(
      again.source == packet.source && again.destination == packet.destination
        && again.protocolNumber == packet.protocolNumber
        && again.payload.byteCount == packet.payload.byteCount, "what was read is written the same")
  } seeds: {
    kernelSegments
  }

  /// The segments of a kernel (Tests/Samples), by what they are.
  static var kernelSegments: [String: [UInt8]] {
    [
      "syn": KernelSegments.syn, "syn-ack": KernelSegments.synAck, "ack": KernelSegments.ack,
      "data": KernelSegments.data, "fin": KernelSegments.fin, "reset": KernelSegments.reset,
    ]
  }
}

/// The sum over the pseudo-header of either family and the payload, two bytes at a time.
func plainSum(of packet: borrowing IPPacket) -> UInt64 {
  let payload = packet.payload
  var sum = UInt64(6 + payload.byteCount)
  for address in [packet.source, packet.destination] {
    let halves = address.isIPv4 ? [UInt64(address.ipv4)] : [address.high, address.low]
    for half in halves {
      for shift in [48, 32, 16, 0] as [UInt64] { sum += half >> shift & 0xFFFF }
    }
  }
  for offset in 0..<payload.byteCount {
    sum += UInt64(payload.byte(at: offset)) << (offset % 2 == 0 ? 8 : 0)
  }
  while sum >> 16 != 0 { sum = sum >> 16 + sum & 0xFFFF }
  return sum
}
