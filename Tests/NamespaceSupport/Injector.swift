// Packets that nobody sent: put on a host's wire as they are, towards its neighbour.

import CSockets
import Glibc
public import Wire

/// Sends any bytes as IP packets of one family from a host's interface, past its own network stack.
public struct Injector: Sendable {
  private let file: OpenFile
  private let etherHeader: [UInt8]

  /// Opens a way out of `host`; its neighbour is who hears.
  public init(from host: Host, _ family: AddressFamily = .ipv4) throws {
    file = try host.namespace.enter {
      let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
      let file = OpenFile(try check(socket(AF_PACKET, type, 0), "socket AF_PACKET"))
      let index = Int32(unsafe if_nametoindex(Host.interface))
      try check(cs_bind_packet(file.number, 0, index), "bind")
      return file
    }
    let etherType: [UInt8] = family == .ipv4 ? [0x08, 0x00] : [0x86, 0xDD]
    etherHeader = host.neighbourLinkAddress + host.linkAddress + etherType
  }

  /// Sends one IP packet. One that is larger than the MTU is not sent: the device takes none.
  public func send(_ packet: [UInt8]) throws {
    let frame = etherHeader + packet
    let sent = unsafe Glibc.send(file.number, frame, frame.count, 0)
    if sent < 0, errno != EMSGSIZE, errno != ENOBUFS { throw Failure(call: "send") }
  }

  /// Sends IP packets in one system call; none may be larger than the MTU.
  public func send(_ packets: [[UInt8]]) throws {
    guard let size = packets.map(\.count).max() else { return }
    var batch = MessageBatch(count: packets.count, capacity: etherHeader.count + size)
    for (index, packet) in packets.enumerated() {
      batch.fill(index, length: etherHeader.count + packet.count) { bytes in
        for (offset, byte) in etherHeader.enumerated() {
          bytes.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
        }
        for (offset, byte) in packet.enumerated() {
          bytes.storeBytes(of: byte, toByteOffset: etherHeader.count + offset, as: UInt8.self)
        }
      }
    }
    try batch.send(packets.count, over: file)
  }
}

/// Builds IP packets with TCP inside, and spoils those of any carrier.
public enum Forgery {
  /// The bytes of a segment with correct checksums, and 64 as TTL or hop limit.
  public static func packet(_ segment: CapturedSegment, payload: [UInt8] = []) -> [UInt8] {
    var packet = header(from: segment.source.address, to: segment.destination.address)
    packet += bytes(segment.source.port) + bytes(segment.destination.port)
    packet += bytes(segment.sequence) + bytes(segment.acknowledgement)
    packet += [0x50, segment.flags.rawValue] + bytes(segment.window) + [0, 0, 0, 0] + payload
    complete(&packet)
    return packet
  }

  /// Of IP, for TCP; its length and checksum are to come.
  private static func header(from source: IPAddress, to destination: IPAddress) -> [UInt8] {
    guard source.isIPv4 else {
      let addresses = [source.high, source.low, destination.high, destination.low]
      return [0x60, 0, 0, 0, 0, 0, 6, 64] + addresses.flatMap { bytes($0) }
    }
    return [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0] + bytes(source.ipv4)
      + bytes(destination.ipv4)
  }

  /// Makes the lengths and the checksums of a whole packet right, as far as it has any.
  public static func complete(_ packet: inout [UInt8]) {
    guard packet.count >= 20 else { return }
    guard packet[0] >> 4 == 6, packet.count >= 40 else {
      let headerCount = max(20, min(Int(packet[0] & 15) * 4, packet.count))
      store(UInt16(packet.count), at: 2, of: &packet)
      store(0, at: 10, of: &packet)
      store(~folded(unsafe sum(packet.span.bytes.extracting(0..<headerCount))), at: 10, of: &packet)
      return completeContent(of: &packet, protocolAt: 9, addresses: 12..<20, from: headerCount)
    }
    store(UInt16(packet.count - 40), at: 4, of: &packet)
    completeContent(of: &packet, protocolAt: 6, addresses: 8..<40, from: 40)
  }

  /// Where the checksum stands behind the IP header, by protocol number: of ICMP, TCP, UDP, ICMPv6.
  private static let checksumOffsets: [UInt8: Int] = [1: 2, 6: 16, 17: 6, 58: 2]

  private static func completeContent(
    of packet: inout [UInt8], protocolAt offset: Int, addresses: Range<Int>, from start: Int
  ) {
    let number = packet[offset]
    let count = packet.count - start
    guard let place = checksumOffsets[number], count >= place + 2 else { return }
    if number == 17 { store(UInt16(count), at: start + 4, of: &packet) }
    store(0, at: start + place, of: &packet)
    var total = unsafe sum(packet.span.bytes.extracting(start..<packet.count))
    // The pseudo-header, which ICMP of IPv4 does without (RFC 792).
    if number != 1 {
      total += unsafe sum(packet.span.bytes.extracting(addresses))
      total += UInt64(number) + UInt64(count)
    }
    // UDP has 0 for no checksum (RFC 768).
    let checksum = number == 17 && ~folded(total) == 0 ? 0xFFFF : ~folded(total)
    store(checksum, at: start + place, of: &packet)
  }

  /// A packet of random bytes behind the addresses and ports of `model`, or a copy of it with some
  /// bits flipped, some bytes overwritten, or its end cut off or made longer. Half of them get
  /// right checksums, so that they come through to what reads them.
  public static func mutation(
    of model: [UInt8], with random: inout SeededRandom
  ) -> [UInt8] {
    var packet = model
    let headerCount = model[0] >> 4 == 6 ? 40 : 20
    switch Int.random(in: 0..<5, using: &random) {
    case 0: flipBits(&packet, &random)
    case 1: overwrite(&packet, from: headerCount + 4, &random)
    case 2: packet.removeLast(Int.random(in: 0...packet.count - headerCount, using: &random))
    case 3: grow(&packet, by: 1...64, &random)
    default:
      packet = Array(packet.prefix(headerCount + 4))
      grow(&packet, by: 16...600, &random)
      // TCP without options.
      packet[headerCount + 12] = 0x50
    }
    if Bool.random(using: &random) { complete(&packet) }
    return packet
  }

  private static func flipBits(_ packet: inout [UInt8], _ random: inout SeededRandom) {
    for _ in 0..<Int.random(in: 1...8, using: &random) {
      let index = Int.random(in: 0..<packet.count, using: &random)
      packet[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    }
  }

  private static func grow(
    _ packet: inout [UInt8], by counts: ClosedRange<Int>, _ random: inout SeededRandom
  ) {
    for _ in 0..<Int.random(in: counts, using: &random) {
      packet.append(.random(in: 0...255, using: &random))
    }
  }

  private static func overwrite(
    _ packet: inout [UInt8], from first: Int, _ random: inout SeededRandom
  ) {
    guard packet.count > first else { return }
    for _ in 0..<Int.random(in: 1...16, using: &random) {
      let index = Int.random(in: first..<packet.count, using: &random)
      packet[index] = .random(in: 0...255, using: &random)
    }
  }

  private static func store(_ number: UInt16, at offset: Int, of packet: inout [UInt8]) {
    packet.replaceSubrange(offset..<offset + 2, with: bytes(number))
  }

  private static func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    stride(from: Number.bitWidth - 8, through: 0, by: -8).map {
      UInt8(truncatingIfNeeded: number >> Number($0))
    }
  }
}
