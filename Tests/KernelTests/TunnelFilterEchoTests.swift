// The part of the tunnel's filters that is about ICMP echo: against a plain reading of what they should
// accept, by the interpreter and by the kernel.

import CLinux
import Glibc
import Kernel
import Samples
import Testing
import Wire

@Suite struct TunnelFilterEchoTests {
  private static let server = [IPAddress("192.0.2.1")!, IPAddress("2001:db8::1")!]
  private static let own = [IPAddress("10.0.0.1")!, IPAddress("2001:db8:1::7")!]
  private static let ports = PortSet([443...443])

  private func filter(
    isServer: Bool, _ family: AddressFamily, _ protocols: [TunnelProtocol]
  ) throws -> SocketFilter {
    try isServer
      ? TunnelFilter.server(
        ports: Self.ports, addresses: Self.own, family: family, protocols: protocols)
      : TunnelFilter.client(
        servers: Self.server, ports: Self.ports, addresses: Self.own, family: family,
        protocols: protocols)
  }

  /// What the filters are to accept.
  private func isOurs(
    _ packet: Packet, isServer: Bool, _ protocols: [TunnelProtocol]
  ) -> Bool {
    let isIPv4 = packet.family == .ipv4
    guard packet.type == UInt32(PACKET_HOST), Self.own.contains(packet.destination),
      isServer || Self.server.contains(packet.source), packet.fragment & 0x3FFF == 0
    else { return false }
    if packet.number == 6, protocols.contains(.tcp) {
      // The first bytes are the ports then.
      return packet.header[isServer ? 2 : 0] == 1 && packet.header[isServer ? 3 : 1] == 187
    }
    guard packet.number == (isIPv4 ? 1 : 58), protocols.contains(.icmp) else { return false }
    let type: UInt8 = isServer ? (isIPv4 ? 8 : 128) : (isIPv4 ? 0 : 129)
    let badge = Array((isServer ? "RSCQ" : "RSCA").utf8)
    return packet.header[0] == type && packet.header[1] == 0 && Array(packet.header[8...]) == badge
  }

  @Test(
    arguments: [[TunnelProtocol.icmp], [.tcp, .icmp], [.tcp]], AddressFamily.allCases)
  func randomPacketsAreJudgedByTheirFields(
    protocols: [TunnelProtocol], family: AddressFamily
  ) throws {
    var random = SplitMix64(seed: 1)
    for isServer in [true, false] {
      let filter = try filter(isServer: isServer, family, protocols)
      var accepted = 0
      for _ in 0..<20_000 {
        let packet = Packet(family, from: Self.server, to: Self.own, &random)
        let ours = isOurs(packet, isServer: isServer, protocols)
        accepted += ours ? 1 : 0
        let result = interpret(filter.instructions, packet.filtered)
        #expect(result == .accepted(ours ? .max : 0), "\(packet)")
      }
      #expect(accepted > 300 && accepted < 15_000)
    }
  }

  @Test(arguments: AddressFamily.allCases)
  func aCutPacketIsRejectedWithoutItsBadge(family: AddressFamily) throws {
    let filter = try filter(isServer: true, family, [.tcp, .icmp])
    for linkLength in [0, 14] {
      for more in 0...4 {
        var packet = Packet(family, source: Self.server, destination: Self.own)
        packet.linkLength = linkLength
        packet.more = more
        let whole = packet.filtered
        for length in 0...whole.bytes.count {
          var cut = whole
          cut.bytes = Array(whole.bytes[..<length])
          cut.linear = length
          // The badge is the end.
          let result = interpret(filter.instructions, cut)
          #expect(result == .accepted(length == whole.bytes.count ? .max : 0))
        }
      }
    }
  }

  /// Every packet that another program sends over the loopback is judged by the kernel as by the
  /// interpreter.
  @Test func theKernelAgreesOnTheLoopback() throws {
    let lab = try Lab("filtere")
    let own = [IPAddress("127.0.0.1")!]
    let filter = try TunnelFilter.server(ports: Self.ports, addresses: own, protocols: [.icmp])
    let (tap, raw) = try lab.inside { (tapSocket(), rawSocket()) }
    defer {
      close(tap)
      close(raw)
    }
    try filter.attach(to: tap)
    var random = SplitMix64(seed: 7)
    var expected = 0
    for _ in 0..<1500 {
      var packet = Packet(.ipv4, from: [IPAddress("127.0.0.2")!], to: own, &random)
      packet.type = UInt32(PACKET_HOST)
      packet.linkLength = 14
      try send(Array(packet.filtered.bytes[14...]), to: packet.destination, over: raw)
      let result = interpret(filter.instructions, packet.filtered)
      expected += result == .accepted(.max) ? 1 : 0
    }
    #expect(expected > 20 && expected < 300)
    #expect(packets(on: tap) == expected)
  }
}

/// A packet by its fields.
private struct Packet {
  static let badges = ["RSCQ", "RSCA"].map { Array($0.utf8) }

  let family: AddressFamily
  var source: IPAddress
  var destination: IPAddress
  /// The protocol.
  var number: UInt8
  /// The first twelve bytes behind the IP headers.
  var header: [UInt8]
  /// IPv4's flags and offset.
  var fragment: UInt16 = 0x4000
  /// IPv4's options, or IPv6's headers between, in units of 4 or 8 bytes.
  var more = 0
  var linkLength = 14
  var type = UInt32(PACKET_HOST)

  /// One that a server takes.
  init(_ family: AddressFamily, source: [IPAddress], destination: [IPAddress]) {
    self.family = family
    self.source = source.first { $0.family == family }!
    self.destination = destination.first { $0.family == family }!
    number = family == .ipv4 ? 1 : 58
    header = [family == .ipv4 ? 8 : 128, 0, 0, 0, 0, 7, 0, 1] + Self.badges[0]
  }

  /// A random one that is ours more often than chance would have it.
  init(
    _ family: AddressFamily, from source: [IPAddress], to destination: [IPAddress],
    _ random: inout SplitMix64
  ) {
    self.init(family, source: source, destination: destination)
    let isIPv4 = family == .ipv4
    if Int.random(in: 0..<8, using: &random) == 0 { self.source.low ^= 1 }
    if Int.random(in: 0..<8, using: &random) == 0 { self.destination.low ^= 2 }
    number = (isIPv4 ? [1, 1, 1, 6, 58] : [58, 58, 58, 6, 1]).randomElement(using: &random)!
    header = [
      .random(in: 0...255, using: &random), [0, 0, 0, 0, 1].randomElement(using: &random)!,
    ]
    if number == 6 {
      header = [[1, 187, 1, 187], [9, 9, 1, 187], [1, 187, 9, 9], [9, 9, 9, 9]]
        .randomElement(using: &random)!
    } else {
      let types: [UInt8] = isIPv4 ? [8, 8, 0, 0, 3] : [128, 128, 129, 129, 2]
      header[0] = types.randomElement(using: &random)!
      header += [0, 0]
    }
    header += [0, 7, 0, 1]
    header += (Self.badges + Self.badges + [[0x52, 0x53, 0x43, 0x50]]).randomElement(
      using: &random)!
    if isIPv4 {
      fragment = [0, 0x4000, 0x4000, 0x4000, 0x2000, 0x0001].randomElement(using: &random)!
    }
    more = Int.random(in: 0...4, using: &random)
    linkLength = [0, 14].randomElement(using: &random)!
    type = [0, 0, 0, 0, 1, 3].randomElement(using: &random)!
  }

  var filtered: FilteredPacket {
    var bytes = [UInt8](repeating: 0, count: linkLength)
    if family == .ipv4 {
      let length = UInt16(20 + 4 * more + header.count)
      bytes += [0x45 + UInt8(more), 0] + big(length) + [0, 1] + big(fragment)
      bytes += [64, number, 0, 0] + big(source.ipv4) + big(destination.ipv4)
      bytes += [UInt8](repeating: 1, count: 4 * more)
    } else {
      bytes += [0x60, 0, 0, 0] + big(UInt16(8 * more + header.count))
      bytes += [more > 0 ? 60 : number, 64]
      for address in [source, destination] { bytes += big(address.high) + big(address.low) }
      for index in 0..<more {
        bytes += [index + 1 < more ? 60 : number, 0, 1, 4, 0, 0, 0, 0]
      }
    }
    bytes += header
    return FilteredPacket(
      bytes: bytes, networkOffset: linkLength, linear: bytes.count, packetType: type,
      hardwareType: UInt32(linkLength == 14 ? ARPHRD_ETHER : ARPHRD_NONE))
  }

  private func big<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    (0..<Number.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
  }
}
