// The tunnel's filters: against a plain reading of what they should accept, by the interpreter
// and by the kernel.

import CLinux
import Glibc
import Kernel
import Samples
import Testing
import Wire

@Suite struct TunnelFilterTests {
  private static let server = IPAddress(ipv4: 0xC000_0201)
  private static let own = [IPAddress(ipv4: 0x0A00_0001), IPAddress(ipv4: 0x7F00_0001)]
  private static let ports = PortSet([80...80, 443...443, 1000...1010, 60_000...65_535])

  /// What the filters are to accept.
  private func isOurs(_ packet: Packet, from server: IPAddress?) -> Bool {
    let port = server == nil ? packet.destinationPort : packet.sourcePort
    return packet.type == UInt32(PACKET_HOST) && packet.proto == 6 && packet.fragment & 0x3FFF == 0
      && Self.own.contains(packet.destination) && (server == nil || packet.source == server)
      && Self.ports.contains(port)
  }

  @Test(arguments: [true, false])
  func randomPacketsAreJudgedByTheirFields(isServer: Bool) throws {
    var random = SplitMix64(seed: isServer ? 1 : 2)
    let filter =
      try isServer
      ? TunnelFilter.server(ports: Self.ports, addresses: Self.own)
      : TunnelFilter.client(servers: [Self.server], ports: Self.ports, addresses: Self.own)
    var accepted = 0
    for _ in 0..<20_000 {
      let packet = Packet(
        own: Self.own, server: Self.server, ports: [80, 443, 1005, 61_000, 81, 999, 1011, 5],
        &random)
      let ours = isOurs(packet, from: isServer ? nil : Self.server)
      accepted += ours ? 1 : 0
      let result = interpret(filter.instructions, packet.filtered)
      #expect(result == .accepted(ours ? .max : 0), "\(packet)")
    }
    #expect(accepted > 1000 && accepted < 15_000)
  }

  @Test func aCutPacketIsRejectedWithoutItsPorts() throws {
    let filter = try TunnelFilter.server(ports: Self.ports, addresses: Self.own)
    var random = SplitMix64(seed: 3)
    for linkLength in [0, 14] {
      for options in 0...10 {
        var packet = Packet(own: Self.own, server: Self.server, ports: [443], &random)
        packet.makeOurs(options: options, linkLength: linkLength)
        let whole = packet.filtered
        // The destination port ends 4 bytes behind the IPv4 header.
        let needed = linkLength + 20 + 4 * options + 4
        for length in 0...whole.bytes.count {
          var cut = whole
          cut.bytes = Array(whole.bytes[..<length])
          cut.linear = length
          let result = interpret(filter.instructions, cut)
          #expect(result == .accepted(length >= needed ? .max : 0))
        }
      }
    }
  }

  /// What a router says of a packet that was too large is ours where it quotes one of ours.
  @Test(arguments: [true, false])
  func messagesOfRoutersAreOursByWhatTheyQuote(isServer: Bool) throws {
    let filter =
      try isServer
      ? TunnelFilter.server(ports: Self.ports, addresses: Self.own)
      : TunnelFilter.client(servers: [Self.server], ports: Self.ports, addresses: Self.own)
    /// With the ports, ours and the other one, that the quoted packet has.
    func judge(
      type: UInt8 = 3, code: UInt8 = 4, proto: UInt8 = 6, ports: (UInt16, UInt16), count: Int = 200
    ) -> FilterResult {
      var bytes = [UInt8](repeating: 0, count: 14)
      bytes += [0x45, 0, 0, 84, 0, 0, 0, 0, 64, 1, 0, 0, 203, 0, 113, 1, 10, 0, 0, 1]
      bytes += [type, code, 0, 0, 0, 0, 5, 0]
      bytes += [0x45, 0, 5, 220, 0, 0, 0x40, 0, 64, proto, 0, 0]
      bytes += [10, 0, 0, 1, 192, 0, 2, 1]
      for port in [ports.0, ports.1] { bytes += [UInt8(port >> 8), UInt8(port & 255)] }
      bytes = Array(bytes.prefix(count))
      return interpret(
        filter.instructions, FilteredPacket(bytes: bytes, networkOffset: 14, linear: bytes.count))
    }
    let (ours, others): ((UInt16, UInt16), (UInt16, UInt16)) =
      isServer ? ((443, 5), (5, 443)) : ((5, 443), (443, 5))
    #expect(judge(ports: ours) == .accepted(.max))
    #expect(judge(ports: others) == .accepted(0))
    #expect(judge(type: 8, code: 0, ports: ours) == .accepted(0))
    #expect(judge(code: 3, ports: ours) == .accepted(0))
    #expect(judge(proto: 17, ports: ours) == .accepted(0))
    let needed = 14 + 20 + 8 + 20 + (isServer ? 2 : 4)
    for count in 0..<needed { #expect(judge(ports: (443, 443), count: count) == .accepted(0)) }
  }

  /// On Ethernet the headers may be outside of the linear part: iwlwifi leaves them there.
  @Test func ethernetHeadersOutsideTheLinearPartAreRead() throws {
    let filter = try TunnelFilter.server(ports: Self.ports, addresses: Self.own)
    var random = SplitMix64(seed: 4)
    var packet = Packet(own: Self.own, server: Self.server, ports: [443], &random)
    packet.makeOurs(options: 0, linkLength: 14)
    var filtered = packet.filtered
    filtered.linear = 14
    #expect(interpret(filter.instructions, filtered) == .accepted(.max))
  }

  @Test func noAddressAcceptsNothing() throws {
    let filter = try TunnelFilter.server(ports: Self.ports, addresses: [])
    var random = SplitMix64(seed: 5)
    var packet = Packet(own: Self.own, server: Self.server, ports: [443], &random)
    packet.makeOurs(options: 0, linkLength: 14)
    #expect(interpret(filter.instructions, packet.filtered) == .accepted(0))
  }

  @Test func manyAddressesAndRangesFit() throws {
    let addresses = (0..<UInt32(600)).map { IPAddress(ipv4: 0x0A00_0000 + 2 * $0) }
    let ports = PortSet((0..<UInt16(500)).map { (1000 + 10 * $0)...(1004 + 10 * $0) })
    let filter = try TunnelFilter.server(ports: ports, addresses: addresses)
    var random = SplitMix64(seed: 6)
    for _ in 0..<2000 {
      var packet = Packet(own: addresses, server: Self.server, ports: [1], &random)
      packet.makeOurs(options: 2, linkLength: 14)
      packet.destination = IPAddress(
        ipv4: .random(in: 0x0A00_0000...0x0A00_0500, using: &random))
      packet.destinationPort = .random(in: 900...6100, using: &random)
      let ours = addresses.contains(packet.destination) && ports.contains(packet.destinationPort)
      #expect(interpret(filter.instructions, packet.filtered) == .accepted(ours ? .max : 0))
    }
    #expect(throws: SystemError.self) {
      try TunnelFilter.server(
        ports: PortSet((0..<UInt16(2000)).map { (10 * $0)...(10 * $0 + 1) }), addresses: addresses)
    }
  }

  /// A host may have thousands of addresses (kube-ipvs0): gaps between neighbouring ones are
  /// filled then, the widest last.
  @Test func moreAddressesThanFitBecomeRanges() throws {
    let near = (0..<UInt32(5000)).map { IPAddress(ipv4: 0x0A00_0000 + 2 * $0) }
    let far = IPAddress(ipv4: 0xC0A8_0001)
    let filter = try TunnelFilter.server(ports: Self.ports, addresses: near + [far])
    var random = SplitMix64(seed: 8)
    for (address, isAccepted) in [
      (near[0], true), (near[1], true), (near[4999], true), (far, true),
      (IPAddress(ipv4: near[0].ipv4 - 1), false),
      (IPAddress(ipv4: near[4999].ipv4 + 1), false),
      (IPAddress(ipv4: far.ipv4 - 1), false),
      (IPAddress(ipv4: far.ipv4 + 1), false),
    ] {
      var packet = Packet(own: near, server: Self.server, ports: [443], &random)
      packet.makeOurs(options: 0, linkLength: 14)
      packet.destination = address
      let result = interpret(filter.instructions, packet.filtered)
      #expect(result == .accepted(isAccepted ? .max : 0), "\(address)")
    }
  }

  /// A range costs what a port does.
  @Test func aRangeOfPortsIsTwoComparisons() throws {
    let sizes = try ["20000", "20000-50000", "1-65535"].map {
      try TunnelFilter.server(ports: PortSet(parsing: $0), addresses: Self.own).instructions.count
    }
    #expect(sizes[1] == sizes[0] + 1 && sizes[2] == sizes[1], "\(sizes)")
    let filter = try TunnelFilter.server(ports: PortSet([20_000...50_000]), addresses: Self.own)
    var random = SplitMix64(seed: 9)
    for port: UInt16 in [19_999, 20_000, 20_001, 35_000, 49_999, 50_000, 50_001] {
      var packet = Packet(own: Self.own, server: Self.server, ports: [port], &random)
      packet.makeOurs(options: 0, linkLength: 14)
      packet.destinationPort = port
      let isOurs = (20_000...50_000).contains(port)
      #expect(interpret(filter.instructions, packet.filtered) == .accepted(isOurs ? .max : 0))
    }
  }

  /// Every packet that another program sends over the loopback is judged by the kernel as by the
  /// interpreter, options and fragments included.
  @Test func theKernelAgreesOnTheLoopback() throws {
    let lab = try Lab("filter")
    let own = [IPAddress(ipv4: 0x7F00_0001)]
    let filter = try TunnelFilter.server(ports: Self.ports, addresses: own)
    let (tap, raw) = try lab.inside { (tapSocket(), rawSocket()) }
    defer {
      close(tap)
      close(raw)
    }
    try filter.attach(to: tap)
    var random = SplitMix64(seed: 7)
    var expected = 0
    for number in 0..<400 {
      var packet = Packet(own: own, server: Self.server, ports: [80, 443, 1005, 81, 999], &random)
      packet.source = IPAddress(ipv4: 0x7F00_0002)
      if number % 3 == 0 { packet.makeOurs(options: number % 5, linkLength: 14) }
      packet.destination = number % 7 == 0 ? IPAddress(ipv4: 0x7F00_0009) : own[0]
      packet.type = UInt32(PACKET_HOST)
      packet.linkLength = 14
      try send(Array(packet.filtered.bytes[14...]), to: packet.destination, over: raw)
      let ours = own.contains(packet.destination) && isOursOnTheServer(packet)
      let result = interpret(filter.instructions, packet.filtered)
      #expect(result == .accepted(ours ? .max : 0))
      expected += ours ? 1 : 0
    }
    #expect(expected > 40 && expected < 350)
    #expect(packets(on: tap) == expected)
  }

  private func isOursOnTheServer(_ packet: Packet) -> Bool {
    packet.proto == 6 && packet.fragment & 0x3FFF == 0
      && Self.ports.contains(packet.destinationPort)
  }
}

/// A packet by its fields.
private struct Packet {
  var source: IPAddress
  var destination: IPAddress
  var sourcePort: UInt16
  var destinationPort: UInt16
  var proto: UInt8
  var fragment: UInt16
  var options: Int
  var linkLength: Int
  var type: UInt32

  /// A random one that is ours more often than chance would have it.
  init(own: [IPAddress], server: IPAddress, ports: [UInt16], _ random: inout SplitMix64) {
    source = Int.random(in: 0..<4, using: &random) > 0 ? server : IPAddress(ipv4: 1)
    destination =
      Int.random(in: 0..<4, using: &random) > 0
      ? own.randomElement(using: &random)! : IPAddress(ipv4: 0x0A00_0002)
    sourcePort = ports.randomElement(using: &random)!
    destinationPort = ports.randomElement(using: &random)!
    proto = [6, 6, 6, 17].randomElement(using: &random)!
    fragment = [0, 0x4000, 0x4000, 0x4000, 0x2000, 0x0001].randomElement(using: &random)!
    options = Int.random(in: 0...10, using: &random)
    linkLength = [0, 14].randomElement(using: &random)!
    type = [0, 0, 0, 0, 1, 2, 3, 4].randomElement(using: &random)!
  }

  mutating func makeOurs(options: Int, linkLength: Int) {
    proto = 6
    fragment = 0x4000
    type = UInt32(PACKET_HOST)
    destination = IPAddress(ipv4: 0x0A00_0001)
    destinationPort = 443
    self.options = options
    self.linkLength = linkLength
  }

  /// The packet with zeros as link header, no-operation options, and 20 bytes of TCP.
  var filtered: FilteredPacket {
    let length = UInt16(20 + 4 * options + 20)
    var bytes = [UInt8](repeating: 0, count: linkLength)
    bytes +=
      [0x45 + UInt8(options), 0] + big(length) + [0, 1] + big(fragment) + [64, proto, 0, 0]
    bytes += big(source.ipv4) + big(destination.ipv4)
    bytes += [UInt8](repeating: 1, count: 4 * options)
    bytes += big(sourcePort) + big(destinationPort) + [UInt8](repeating: 0, count: 16)
    return FilteredPacket(
      bytes: bytes, networkOffset: linkLength, linear: bytes.count, packetType: type,
      hardwareType: UInt32(linkLength == 14 ? ARPHRD_ETHER : ARPHRD_NONE))
  }

  private func big<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    (0..<Number.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
  }
}
