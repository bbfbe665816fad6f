// Packets that nobody sent: put on a host's wire as they are, towards its neighbour.

import CSockets
import Glibc
import Wire

/// Sends any bytes as IPv4 packets from a host's interface, past its own network stack.
public struct Injector: Sendable {
  private let file: OpenFile
  private let etherHeader: [UInt8]

  /// Opens a way out of `host`; its neighbour is who hears.
  public init(from host: Host) throws {
    file = try host.namespace.enter {
      let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
      let file = OpenFile(try check(socket(AF_PACKET, type, 0), "socket AF_PACKET"))
      let index = Int32(unsafe if_nametoindex(Host.interface))
      try check(cs_bind_packet(file.number, 0, index), "bind")
      return file
    }
    etherHeader = host.neighbourLinkAddress + host.linkAddress + [0x08, 0x00]
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

/// Builds IPv4 packets with TCP inside, and spoils them.
public enum Forgery {
  /// The bytes of a segment with correct checksums and a TTL of 64.
  public static func packet(_ segment: CapturedSegment, payload: [UInt8] = []) -> [UInt8] {
    let source = bytes(segment.source.address.ipv4)
    let destination = bytes(segment.destination.address.ipv4)
    var packet: [UInt8] = [0x45, 0] + bytes(UInt16(40 + payload.count))
    packet += [0, 0, 0x40, 0, 64, 6, 0, 0] + source + destination
    packet += bytes(segment.source.port) + bytes(segment.destination.port)
    packet += bytes(segment.sequence) + bytes(segment.acknowledgement)
    packet += [0x50, segment.flags.rawValue] + bytes(segment.window) + [0, 0, 0, 0] + payload
    repairChecksums(&packet)
    return packet
  }

  /// Makes the length and the checksums of a whole packet right.
  public static func complete(_ packet: inout [UInt8]) {
    store(UInt16(packet.count), at: 2, of: &packet)
    repairChecksums(&packet)
  }

  /// Makes the checksums right, as far as the packet has any.
  public static func repairChecksums(_ packet: inout [UInt8]) {
    guard packet.count >= 20 else { return }
    let headerCount = max(20, min(Int(packet[0] & 15) * 4, packet.count))
    store(0, at: 10, of: &packet)
    store(~folded(unsafe sum(packet.span.bytes.extracting(0..<headerCount))), at: 10, of: &packet)
    guard packet.count >= headerCount + 20 else { return }
    store(0, at: headerCount + 16, of: &packet)
    var total = unsafe sum(packet.span.bytes.extracting(headerCount..<packet.count))
    total += unsafe sum(packet.span.bytes.extracting(12..<20))
    total += 6 + UInt64(packet.count - headerCount)
    store(~folded(total), at: headerCount + 16, of: &packet)
  }

  /// A packet of random bytes behind the addresses and ports of `model`, or a copy of it with some
  /// bits flipped, some bytes overwritten, or its end cut off or made longer. Half of them get
  /// right checksums, so that they come through to what reads them.
  public static func mutation(
    of model: [UInt8], with random: inout SeededRandom
  ) -> [UInt8] {
    var packet = model
    switch Int.random(in: 0..<5, using: &random) {
    case 0: flipBits(&packet, &random)
    case 1: overwrite(&packet, from: 24, &random)
    case 2: packet.removeLast(Int.random(in: 0...max(0, packet.count - 20), using: &random))
    case 3: grow(&packet, by: 1...64, &random)
    default:
      packet = Array(packet.prefix(24))
      grow(&packet, by: 16...600, &random)
      packet[32] = 0x50
    }
    if packet.count >= 20, Bool.random(using: &random) {
      complete(&packet)
    }
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
