// IPv4 headers, and the checksum of what they carry.

import Samples
import Wire

extension FuzzTarget {
  static let ipv4 = FuzzTarget(name: "ipv4") { input in
    guard let packet = IPPacket(input), packet.source.isIPv4 else { return }
    checkPayload(of: packet, in: input)
    let header = IPv4Header(
      source: packet.source, destination: packet.destination, identification: input.be16(at: 4),
      protocolNumber: packet.protocolNumber, payloadLength: packet.payload.byteCount)
    var bytes = [UInt8](repeating: 0, count: IPv4Header.byteCount + packet.payload.byteCount)
    bytes.withMutableRawSpan { header.emit(into: &$0) }
    checkHeader(of: packet, in: bytes)
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
