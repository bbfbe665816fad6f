// What holds for IP packets of either family.

import Samples
import Wire

/// A packet is inside of what it was read from, and its checksum is what plain addition says (RFC 1071,
/// RFC 8200, section 8.1).
func checkPayload(of packet: borrowing IPPacket, in input: RawSpan) {
  require(packet.headerLength + packet.payload.byteCount <= input.byteCount, "a packet is inside")
  require(
    TCPSegment.isChecksumValid(of: packet) == (plainSum(of: packet, 6) == 0xFFFF), "the checksum")
  if let message = TooBigMessage(packet) {
    require((1..<IPv6Header.byteCount + 65_535).contains(message.limit), "less than the packet")
  }
}

/// A header that was made of a packet's fields, in front of as many bytes, is read as these.
func checkHeader(of packet: borrowing IPPacket, in bytes: [UInt8]) {
  guard let again = IPPacket(bytes.rawSpan) else {
    return require(false, "a header that is written can be read")
  }
  require(
    again.source == packet.source && again.destination == packet.destination
      && again.protocolNumber == packet.protocolNumber
      && again.payload.byteCount == packet.payload.byteCount, "what was read is written the same")
}

/// The sum over the payload and, where it has the number of a protocol, the pseudo-header of either
/// family, two bytes at a time.
func plainSum(of packet: borrowing IPPacket, _ protocolNumber: Int?) -> UInt64 {
  let payload = packet.payload
  var sum = protocolNumber.map { UInt64($0 + payload.byteCount) } ?? 0
  for address in protocolNumber == nil ? [] : [packet.source, packet.destination] {
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
