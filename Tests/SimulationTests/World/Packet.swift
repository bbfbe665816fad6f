// A packet between the two engines: whole IP bytes, and what a middlebox reads in them.

import Engine
import Samples
import Wire

/// One IP packet with a TCP segment, a UDP datagram or an ICMP echo message, headers complete. The
/// identifier of ICMP stands for the client's port, and the server's is 0.
struct Packet {
  var bytes: [UInt8]
  /// Of datagrams that were merged into one: the size of each but the last, else 0.
  var segmentSize = 0

  var isUDP: Bool { carrier == .udp }

  /// Which of the carriers it may be of; fake TCP where it is none.
  var carrier: Carrier {
    guard bytes.count >= 28, bytes.count >= tcpStart + 8 else { return .tcp }
    return switch bytes[isIPv4 ? 9 : 6] {
    case 17: .udp
    case 1, 58: .icmp
    default: .tcp
    }
  }

  /// Whether it is an ICMP message from a server.
  private var isEchoReply: Bool { [0, 129].contains(bytes[tcpStart]) }

  private var isIPv4: Bool { bytes[0] >> 4 == 4 }
  private var tcpStart: Int { isIPv4 ? IPv4Header.byteCount : IPv6Header.byteCount }

  var source: Endpoint {
    let port = carrier == .icmp ? (isEchoReply ? nil : tcpStart + 4) : tcpStart
    return Endpoint(bytes.rawSpan.addresses.source, port.map(number16) ?? 0)
  }
  var destination: Endpoint {
    let port = carrier == .icmp ? (isEchoReply ? tcpStart + 4 : nil) : tcpStart + 2
    return Endpoint(bytes.rawSpan.addresses.destination, port.map(number16) ?? 0)
  }
  var sequence: UInt32 { number32(at: tcpStart + 4) }
  var acknowledgment: UInt32 { number32(at: tcpStart + 8) }
  var flags: TCPFlags { carrier == .tcp ? TCPFlags(rawValue: bytes[tcpStart + 13]) : [] }
  var window: Int { Int(number16(at: tcpStart + 14)) }
  var headerLength: Int {
    switch carrier {
    case .tcp: tcpStart + Int(bytes[tcpStart + 12] >> 4) * 4
    case .udp: tcpStart + 8
    case .icmp: tcpStart + EchoHeader.byteCount
    }
  }
  var payloadLength: Int { bytes.count - headerLength }
  var isPureAcknowledgment: Bool { flags == .ack && payloadLength == 0 }
  /// The sequence number behind the segment; SYN and FIN count.
  var end: UInt32 {
    sequence &+ UInt32(payloadLength) &+ (flags.contains(.syn) ? 1 : 0)
      &+ (flags.contains(.fin) ? 1 : 0)
  }
  /// The type byte of the first frame.
  var firstByte: UInt8? { payloadLength > 0 ? bytes[headerLength] : nil }

  var options: TCPOptions {
    TCPOptions(parsing: bytes.rawSpan.extracting(tcpStart + 20..<headerLength))
  }

  private func number16(at offset: Int) -> UInt16 {
    UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
  }

  func number32(at offset: Int) -> UInt32 {
    UInt32(number16(at: offset)) << 16 | UInt32(number16(at: offset + 2))
  }

  private mutating func set16(_ value: Int, at offset: Int) {
    bytes[offset] = UInt8(truncatingIfNeeded: value >> 8)
    bytes[offset + 1] = UInt8(truncatingIfNeeded: value)
  }

  mutating func set32(_ value: UInt32, at offset: Int) {
    set16(Int(value >> 16), at: offset)
    set16(Int(value & 0xFFFF), at: offset + 2)
  }

  mutating func setSourcePort(_ port: UInt16) {
    set16(Int(port), at: carrier == .icmp ? tcpStart + 4 : tcpStart)
  }

  mutating func setDestinationPort(_ port: UInt16) {
    set16(Int(port), at: carrier == .icmp ? tcpStart + 4 : tcpStart + 2)
  }

  /// Makes length and checksums right again after a change.
  mutating func complete() {
    let length = bytes.count - tcpStart
    if isIPv4 {
      set16(bytes.count, at: 2)
      set16(0, at: 10)
      set16(Int(Self.checksum(bytes[..<tcpStart], adding: 0)), at: 10)
    } else {
      set16(length, at: 4)
    }
    // No checksum: nobody here looks at it.
    guard !isUDP else { return set16(length, at: tcpStart + 4) }
    let isICMP = carrier == .icmp
    let place = tcpStart + (isICMP ? 2 : 16)
    set16(0, at: place)
    var pseudo = UInt64((isICMP ? 58 : 6) + length)
    // Both addresses are the end of the header, of either version.
    for offset in stride(from: isIPv4 ? 12 : 8, to: tcpStart, by: 2) {
      pseudo += UInt64(number16(at: offset))
    }
    if isICMP, isIPv4 { pseudo = 0 }
    set16(Int(Self.checksum(bytes[tcpStart...], adding: pseudo)), at: place)
  }

  /// RFC 1071, two bytes at a time: not the code under test.
  private static func checksum(_ bytes: ArraySlice<UInt8>, adding start: UInt64) -> UInt16 {
    var sum = start
    var offset = bytes.startIndex
    while offset + 1 < bytes.endIndex {
      sum &+= UInt64(bytes[offset]) << 8 | UInt64(bytes[offset + 1])
      offset += 2
    }
    if offset < bytes.endIndex { sum &+= UInt64(bytes[offset]) << 8 }
    while sum >> 16 != 0 { sum = sum >> 16 + sum & 0xFFFF }
    return ~UInt16(sum)
  }

  /// The segments that a card makes of a run (TCP segmentation offload): the identification and the
  /// sequence number count up, PSH and FIN stay on the last.
  func cut(into segmentSize: Int) -> [Packet] {
    guard segmentSize > 0, payloadLength > segmentSize else { return [self] }
    return stride(from: 0, to: payloadLength, by: segmentSize).enumerated().map { index, start in
      let end = min(start + segmentSize, payloadLength)
      var part = Packet(bytes: Array(bytes[..<headerLength]))
      part.bytes += bytes[headerLength + start..<headerLength + end]
      if isIPv4 { part.set16(Int(number16(at: 4)) + index & 0xFFFF, at: 4) }
      if !isUDP { part.set32(sequence &+ UInt32(start), at: tcpStart + 4) }
      if !isUDP, end < payloadLength {
        part.bytes[tcpStart + 13] = flags.subtracting([.psh, .fin]).rawValue
      }
      part.complete()
      return part
    }
  }

  mutating func append(_ span: RawSpan) {
    unsafe span.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }

  /// A datagram, or several that are to be cut.
  static func datagram(from source: Endpoint, to destination: Endpoint, _ payload: [UInt8])
    -> Packet
  {
    var packet = empty(from: source.address, to: destination.address, protocolNumber: 17, room: 8)
    packet.setSourcePort(source.port)
    packet.setDestinationPort(destination.port)
    packet.bytes += payload
    packet.complete()
    return packet
  }

  /// An ICMP echo message, headers complete; the endpoints' ports say the identifier.
  static func echo(
    _ kind: EchoKind, from source: Endpoint, to destination: Endpoint, sequence: UInt16 = 1,
    _ payload: [UInt8]
  ) -> Packet {
    let family = source.address.family
    var packet = empty(
      from: source.address, to: destination.address,
      protocolNumber: ICMP.protocolNumber(family), room: EchoHeader.byteCount)
    let start = packet.tcpStart
    let header = EchoHeader(
      kind, identifier: kind == .request ? source.port : destination.port, sequence: sequence)
    packet.bytes.withMutableRawSpan { header.emit(into: &$0, at: start, family: family) }
    packet.bytes += payload
    packet.complete()
    return packet
  }

  /// What a kernel answers to a request: its bytes, badge included, under a reply's type.
  var answeredByKernel: Packet {
    var answer = self
    let length = isIPv4 ? 4 : 16
    let addresses = tcpStart - 2 * length
    let source = Array(bytes[addresses..<addresses + length])
    answer.bytes.removeSubrange(addresses..<addresses + length)
    answer.bytes.insert(contentsOf: source, at: addresses + length)
    answer.bytes[tcpStart] = EchoKind.reply.type(isIPv4 ? .ipv4 : .ipv6)
    answer.complete()
    return answer
  }

  /// Where its echo message has the number.
  var echoSequence: UInt16 { number16(at: tcpStart + 6) }

  /// A segment without payload, as a forger or a middlebox makes it.
  static func bare(
    from source: Endpoint, to destination: Endpoint, sequence: UInt32, acknowledgment: UInt32,
    flags: TCPFlags, window: UInt16 = 1000, options: [UInt8] = [], payload: [UInt8] = []
  ) -> Packet {
    var packet = empty(from: source.address, to: destination.address, protocolNumber: 6, room: 20)
    let start = packet.tcpStart
    packet.bytes.withMutableRawSpan { span in
      TCPHeader(
        sourcePort: source.port, destinationPort: destination.port, sequence: sequence,
        acknowledgment: acknowledgment, flags: flags, window: window
      ).emit(into: &span, at: start, optionLength: options.count, checksum: 0)
    }
    packet.bytes += options + payload
    packet.complete()
    return packet
  }

  /// An IP header with so many zeros behind it.
  private static func empty(
    from source: IPAddress, to destination: IPAddress, protocolNumber: UInt8, room: Int
  ) -> Packet {
    let start = source.isIPv4 ? IPv4Header.byteCount : IPv6Header.byteCount
    var packet = Packet(bytes: [UInt8](repeating: 0, count: start + room))
    packet.bytes.withMutableRawSpan { span in
      if source.isIPv4 {
        IPv4Header(
          source: source, destination: destination, identification: 0,
          protocolNumber: protocolNumber, payloadLength: room
        ).emit(into: &span)
      } else {
        IPv6Header(
          source: source, destination: destination, flowLabel: 0, nextHeader: protocolNumber,
          payloadLength: room
        ).emit(into: &span)
      }
    }
    return packet
  }
}

/// The bytes of a span as an array.
func array(_ span: RawSpan) -> [UInt8] {
  unsafe span.withUnsafeBytes { unsafe Array($0) }
}
