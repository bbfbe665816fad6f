// Packets as arrays, with headers that are right.

import Samples
import Wire

/// An IPv4 packet with a TCP segment, as whoever is on the way sees or makes it.
struct Packet {
  static let headerByteCount = IPv4Header.byteCount + TCPHeader.byteCount

  var bytes: [UInt8]
  /// Whether the receiver need not check the checksum, which stands in no packet of the engines.
  var isChecksumTrusted = true

  init(bytes: [UInt8]) { self.bytes = bytes }

  /// A segment with these fields; `options` are padded to a multiple of 4.
  init(
    from source: Endpoint, to destination: Endpoint, _ fields: Fields, options: [UInt8] = [],
    payload: [UInt8]
  ) {
    let padded = options.prefix(40) + [UInt8](repeating: 0, count: -options.prefix(40).count & 3)
    bytes = [UInt8](repeating: 0, count: Self.headerByteCount) + padded + payload
    let total = bytes.count
    bytes.withMutableRawSpan { span in
      IPv4Header(
        source: source.address, destination: destination.address, identification: 0,
        protocolNumber: 6, payloadLength: total - IPv4Header.byteCount
      ).emit(into: &span)
      TCPHeader(
        sourcePort: source.port, destinationPort: destination.port, sequence: fields.sequence,
        acknowledgment: fields.acknowledgment, flags: fields.flags, window: fields.window
      ).emit(into: &span, at: IPv4Header.byteCount, optionLength: padded.count, checksum: 0)
    }
  }

  /// What differs from segment to segment.
  struct Fields {
    var sequence: UInt32
    var acknowledgment: UInt32
    var flags: TCPFlags
    var window: UInt16
  }

  /// Makes the length field right again, so that a change further on is not hidden by it.
  mutating func fixLength() {
    guard bytes.count >= 4, bytes.count <= 65_535 else { return }
    bytes[2] = UInt8(bytes.count >> 8)
    bytes[3] = UInt8(bytes.count & 0xFF)
  }

  /// Adds bytes at the end.
  mutating func append(_ span: RawSpan) {
    unsafe span.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }
}

extension Script {
  /// Changes a few bytes of a packet, or its end; mostly its length field stays right.
  mutating func mutate(_ packet: inout Packet) {
    let kind = byte()
    for _ in 0...(kind & 3) {
      let place = size()
      if packet.bytes.indices.contains(place) { packet.bytes[place] = byte() }
    }
    if kind & 4 != 0 { packet.bytes.removeLast(min(size(), packet.bytes.count)) }
    if kind & 8 != 0 { packet.bytes += take(choice(of: 64)) }
    if kind & 16 == 0 { packet.fixLength() }
  }
}
