// The tunnel's filters of IPv6: against a plain reading of what they should accept, by the interpreter
// and by the kernel.

import CLinux
import Glibc
import Kernel
import Samples
import Testing
import Wire

@Suite struct TunnelFilterIPv6Tests {
  private static let servers = [
    IPAddress("2001:db8::1")!, IPAddress("2001:db8:9::1")!, IPAddress("fd00::1")!,
  ]
  private static let own = [
    IPAddress("2001:db8:1::1")!, IPAddress("2001:db8:1::2:0:0")!, IPAddress("2001:db8:2::1")!,
    IPAddress("fd00::7")!, IPAddress("::1")!,
  ]
  private static let ports = PortSet([80...80, 443...443, 1000...1010, 60_000...65_535])

  /// What the filters are to accept.
  private func isOurs(_ packet: Packet, from servers: [IPAddress]?) -> Bool {
    let port = servers == nil ? packet.destinationPort : packet.sourcePort
    return packet.type == UInt32(PACKET_HOST) && packet.next == 6
      && packet.extensions.allSatisfy { [0, 43, 60].contains($0) } && packet.extensions.count <= 4
      && Self.own.contains(packet.destination) && servers?.contains(packet.source) != false
      && Self.ports.contains(port)
  }

  @Test(arguments: [true, false])
  func randomPacketsAreJudgedByTheirFields(isServer: Bool) throws {
    var random = SplitMix64(seed: isServer ? 1 : 2)
    let other = [IPAddress("192.0.2.7")!]
    let addresses = Self.own + other
    let filter =
      try isServer
      ? TunnelFilter.server(ports: Self.ports, addresses: addresses, family: .ipv6)
      : TunnelFilter.client(
        servers: Self.servers + other, ports: Self.ports, addresses: addresses, family: .ipv6)
    var accepted = 0
    for _ in 0..<20_000 {
      let server = Self.servers.randomElement(using: &random)!
      let packet = Packet(own: Self.own, server: server, &random)
      let ours = isOurs(packet, from: isServer ? nil : Self.servers)
      accepted += ours ? 1 : 0
      let result = interpret(filter.instructions, packet.filtered)
      #expect(result == .accepted(ours ? .max : 0), "\(packet)")
    }
    #expect(accepted > 1000 && accepted < 15_000)
  }

  @Test func aCutPacketIsRejectedWithoutItsPorts() throws {
    let filter = try TunnelFilter.server(ports: Self.ports, addresses: Self.own, family: .ipv6)
    for linkLength in [0, 14] {
      for extensions in [[], [0], [0, 60, 43, 60]] as [[UInt8]] {
        let packet = Packet(
          destination: Self.own[1], destinationPort: 443, extensions: extensions,
          linkLength: linkLength)
        let whole = packet.filtered
        let needed = whole.bytes.count - 16
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
      ? TunnelFilter.server(ports: Self.ports, addresses: Self.own, family: .ipv6)
      : TunnelFilter.client(
        servers: Self.servers, ports: Self.ports, addresses: Self.own, family: .ipv6)
    /// With the ports, ours and the other one, that the quoted packet has.
    func judge(
      type: UInt8 = 2, code: UInt8 = 0, next: UInt8 = 6, ports: (UInt16, UInt16), count: Int = 200
    ) -> FilterResult {
      let addresses = [UInt8](repeating: 0x20, count: 32)
      var bytes = [UInt8](repeating: 0, count: 14)
      bytes += [0x60, 0, 0, 0, 0, 80, 58, 64] + addresses + [type, code, 0, 0, 0, 0, 5, 0]
      bytes += [0x60, 0, 0, 0, 5, 180, next, 64] + addresses
      for port in [ports.0, ports.1] { bytes += [UInt8(port >> 8), UInt8(port & 255)] }
      bytes = Array(bytes.prefix(count))
      return interpret(
        filter.instructions, FilteredPacket(bytes: bytes, networkOffset: 14, linear: bytes.count))
    }
    let (ours, others): ((UInt16, UInt16), (UInt16, UInt16)) =
      isServer ? ((443, 5), (5, 443)) : ((5, 443), (443, 5))
    #expect(judge(ports: ours) == .accepted(.max))
    #expect(judge(ports: others) == .accepted(0))
    #expect(judge(type: 128, ports: ours) == .accepted(0))
    #expect(judge(code: 1, ports: ours) == .accepted(0))
    #expect(judge(next: 17, ports: ours) == .accepted(0))
    let needed = 14 + 40 + 8 + 40 + (isServer ? 2 : 4)
    for count in 0..<needed { #expect(judge(ports: (443, 443), count: count) == .accepted(0)) }
  }

  @Test func noAddressAcceptsNothing() throws {
    for addresses in [[], [IPAddress("192.0.2.1")!]] {
      let filter = try TunnelFilter.server(ports: Self.ports, addresses: addresses, family: .ipv6)
      let packet = Packet(destination: Self.own[0], destinationPort: 443)
      #expect(interpret(filter.instructions, packet.filtered) == .accepted(0))
    }
  }

  /// As many as have room are told apart; of more, networks.
  @Test func manyAddressesFit() throws {
    var random = SplitMix64(seed: 4)
    for (count, isExact) in [(200, true), (5000, false)] {
      let own = (0..<UInt64(count)).map {
        IPAddress(high: 0x2001_0DB8_0000_0000 | $0 % 7, low: $0 << 32 | $0)
      }
      let filter = try TunnelFilter.server(ports: Self.ports, addresses: own, family: .ipv6)
      for _ in 0..<1000 {
        var address = own.randomElement(using: &random)!
        let result = {
          interpret(filter.instructions, Packet(destination: $0, destinationPort: 443).filtered)
        }
        #expect(result(address) == .accepted(.max))
        address.low ^= 1 << 20
        if isExact { #expect(result(address) == .accepted(0)) }
        address.high ^= 1 << 20
        #expect(result(address) == .accepted(0))
      }
    }
  }

  /// Every packet that another program sends over the loopback is judged by the kernel as by the
  /// interpreter.
  @Test func theKernelAgreesOnTheLoopback() throws {
    let lab = try Lab("filter6")
    for address in Self.own.dropLast() { try lab.ip("addr add \(address)/128 dev lo nodad") }
    let own = Array(Self.own.dropFirst(2))
    let filter = try TunnelFilter.server(ports: Self.ports, addresses: own, family: .ipv6)
    let (tap, raw) = try lab.inside {
      let kind = Int32(SOCK_RAW.rawValue | SOCK_NONBLOCK.rawValue)
      let tap = socket(AF_PACKET, kind, Int32(UInt16(ETH_P_IPV6).bigEndian))
      var one = Int32(1)
      unsafe setsockopt(tap, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, 4)
      return (tap, socket(AF_INET6, Int32(SOCK_RAW.rawValue), Int32(IPPROTO_RAW)))
    }
    defer {
      close(tap)
      close(raw)
    }
    try filter.attach(to: tap)
    var random = SplitMix64(seed: 7)
    var expected = 0
    for _ in 0..<600 {
      var packet = Packet(own: Self.own, server: IPAddress("::1")!, &random)
      packet.type = UInt32(PACKET_HOST)
      packet.linkLength = 14
      // A raw socket has a destination of its own, whatever the packet's is.
      try send(Array(packet.filtered.bytes[packet.linkLength...]), to: IPAddress("::1")!, over: raw)
      let result = interpret(filter.instructions, packet.filtered)
      expected += result == .accepted(.max) ? 1 : 0
    }
    #expect(expected > 40 && expected < 400)
    #expect(packets(on: tap) == expected)
  }
}

/// A packet by its fields.
private struct Packet {
  var source = IPAddress("2001:db8::99")!
  var destination: IPAddress
  var sourcePort: UInt16 = 40_000
  var destinationPort: UInt16
  /// The protocol behind the extension headers.
  var next: UInt8 = 6
  /// The numbers of the extension headers.
  var extensions: [UInt8] = []
  var linkLength = 14
  var type = UInt32(PACKET_HOST)

  init(
    destination: IPAddress, destinationPort: UInt16, extensions: [UInt8] = [], linkLength: Int = 14
  ) {
    self.destination = destination
    self.destinationPort = destinationPort
    self.extensions = extensions
    self.linkLength = linkLength
  }

  /// A random one that is ours more often than chance would have it.
  init(own: [IPAddress], server: IPAddress, _ random: inout SplitMix64) {
    source = server
    destination = own.randomElement(using: &random)!
    let ports: [UInt16] = [80, 443, 1005, 61_000, 81, 999, 1011, 5]
    sourcePort = ports.randomElement(using: &random)!
    destinationPort = ports.randomElement(using: &random)!
    next = [6, 6, 6, 6, 17].randomElement(using: &random)!
    let kinds: [UInt8] = [60, 60, 60, 43, 44, 0, 51]
    extensions = (0..<max(0, Int.random(in: -6...5, using: &random))).map { _ in
      kinds.randomElement(using: &random)!
    }
    linkLength = [0, 14].randomElement(using: &random)!
    type = [0, 0, 0, 0, 1, 2, 3, 4].randomElement(using: &random)!
    // Now and then one bit of an address is another one, anywhere.
    for part in [\Packet.source, \Packet.destination] {
      guard Int.random(in: 0..<8, using: &random) == 0 else { continue }
      let bit = UInt64(1) << UInt64.random(in: 0..<64, using: &random)
      let half = Bool.random(using: &random) ? \IPAddress.high : \IPAddress.low
      self[keyPath: part][keyPath: half] ^= bit
    }
  }

  /// The packet with zeros as link header, and 20 bytes of TCP.
  var filtered: FilteredPacket {
    var headers: [UInt8] = []
    for (index, _) in extensions.enumerated() {
      let following = index + 1 < extensions.count ? extensions[index + 1] : next
      // Of different lengths; the options in them are padding (RFC 8200, section 4.2).
      let units = UInt8(index % 3)
      let count = Int(units) * 8 + 6
      headers += [following, units, 1, UInt8(count - 2)] + [UInt8](repeating: 0, count: count - 2)
    }
    let first = extensions.first ?? next
    var bytes = [UInt8](repeating: 0, count: linkLength)
    bytes += [0x60, 0, 0, 0] + big(UInt16(headers.count + 20)) + [first, 64]
    for address in [source, destination] { bytes += big(address.high) + big(address.low) }
    bytes += headers + big(sourcePort) + big(destinationPort) + [UInt8](repeating: 0, count: 16)
    return FilteredPacket(
      bytes: bytes, networkOffset: linkLength, linear: bytes.count, packetType: type,
      hardwareType: UInt32(linkLength == 14 ? ARPHRD_ETHER : ARPHRD_NONE))
  }

  private func big<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    (0..<Number.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
  }
}
