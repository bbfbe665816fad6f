import Samples
import Testing
import Wire

/// The IPv6 header of a kernel's SYN, extension headers of these bytes behind it, and its TCP header.
private func packet(
  next: UInt8, _ extensions: [UInt8] = [], lengthAdded: Int = 0
) -> [UInt8] {
  var bytes = KernelSegments.synOfIPv6
  let length = bytes.count - 40 + extensions.count + lengthAdded
  bytes[4] = UInt8(truncatingIfNeeded: length >> 8)
  bytes[5] = UInt8(truncatingIfNeeded: length)
  bytes[6] = next
  bytes.insert(contentsOf: extensions, at: 40)
  return bytes
}

/// What is read of a packet, as a value.
private struct Parsed {
  var source: IPAddress
  var destination: IPAddress
  var protocolNumber: UInt8
  var headerLength: Int
  var payloadLength: Int
  var destinationPort: UInt16?
  var isChecksumValid: Bool

  init?(_ bytes: [UInt8]) {
    guard let packet = IPPacket(bytes.rawSpan) else { return nil }
    source = packet.source
    destination = packet.destination
    protocolNumber = packet.protocolNumber
    headerLength = packet.headerLength
    payloadLength = packet.payload.byteCount
    isChecksumValid = TCPSegment.isChecksumValid(of: packet)
    if let segment = TCPSegment(packet.payload) { destinationPort = segment.destinationPort }
  }
}

@Suite struct IPv6Tests {
  /// Sizes in units of 8 bytes less one, as the headers have them.
  private static let padding = [UInt8](repeating: 1, count: 6)
  private static let options: [UInt8] = [60, 0] + padding  // hop by hop, then destination options
  private static let longOptions: [UInt8] = [6, 2] + padding + [UInt8](repeating: 0, count: 16)
  private static let finishedRouting: [UInt8] = [6, 0, 4, 0, 0, 0, 0, 0]

  @Test func headerIsParsed() throws {
    let packet = try #require(Parsed(KernelSegments.synOfIPv6))
    #expect(packet.source == IPAddress("2001:db8::1"))
    #expect(packet.destination == IPAddress("2001:db8::2"))
    #expect(packet.protocolNumber == 6 && packet.headerLength == 40)
    #expect(packet.payloadLength == 32)
  }

  @Test func extensionHeadersArePassedOver() throws {
    for (first, extensions) in [
      (0, [6, 0] + Self.padding), (0, Self.options + Self.longOptions), (60, Self.longOptions),
      (43, Self.finishedRouting), (60, [43, 0] + Self.padding + Self.finishedRouting),
    ] as [(UInt8, [UInt8])] {
      let bytes = packet(next: first, extensions)
      let parsed = try #require(Parsed(bytes), "\(first) \(extensions)")
      #expect(parsed.protocolNumber == 6)
      #expect(parsed.headerLength == 40 + extensions.count)
      #expect(parsed.destinationPort == 10001 && parsed.isChecksumValid)
    }
  }

  @Test func whatIsNotForUsIsRefused() {
    let routing: [UInt8] = [6, 0, 0, 1, 0, 0, 0, 0]
    let fragment: [UInt8] = [6, 0, 0, 0, 0, 0, 0, 1]
    for (what, bytes) in [
      ("segments left", packet(next: 43, routing)), ("a fragment", packet(next: 44, fragment)),
      ("hop by hop options behind others", packet(next: 60, [0, 0] + Self.padding + Self.options)),
      (
        "nine headers",
        packet(next: 60, (0..<9).flatMap { [$0 == 8 ? 6 : 60, 0] + Self.padding })
      ),
      ("a header that ends outside", packet(next: 60, [6, 200] + Self.padding)),
      ("more length than bytes", packet(next: 6, lengthAdded: 1)),
      ("version 7", [0x70] + packet(next: 6).dropFirst()),
    ] {
      #expect(Parsed(bytes) == nil, "\(what)")
    }
    var mapped = packet(next: 6)
    mapped.replaceSubrange(
      8..<24, with: [UInt8](repeating: 0, count: 10) + [255, 255, 192, 0, 2, 1])
    #expect(Parsed(mapped) == nil, "a mapped address")
  }

  @Test func linkPaddingIsCutOff() throws {
    let bytes = packet(next: 6) + [0, 0, 0]
    #expect(try #require(Parsed(bytes)).payloadLength == 32)
  }

  /// Cut at every length, and with any number in each byte of the headers: never outside of the bytes.
  @Test func damagedHeadersNeverTrap() {
    let whole = packet(next: 0, Self.options + Self.longOptions)
    var parsed = 0
    for length in 0...whole.count {
      parsed += Parsed(Array(whole[..<length])) == nil ? 0 : 1
    }
    #expect(parsed == 1)
    for offset in 4..<40 + Self.options.count + Self.longOptions.count {
      for value in UInt8.min...UInt8.max {
        var damaged = whole
        damaged[offset] = value
        guard let packet = Parsed(damaged) else { continue }
        parsed += 1
        #expect(packet.headerLength + packet.payloadLength <= damaged.count)
      }
    }
    #expect(parsed > 1000)
  }

  @Test func addressesOfEitherVersionAreFound() {
    for (segment, source, destination) in [
      (KernelSegments.synOfIPv6, "2001:db8::1", "2001:db8::2"),
      (KernelSegments.syn, "192.0.2.1", "192.0.2.2"),
    ] {
      let found = segment.rawSpan.addresses
      #expect(found.source == IPAddress(source) && found.destination == IPAddress(destination))
    }
  }

  /// A mapped IPv4 address sums up as the four bytes alone do.
  @Test func pseudoHeadersOfBothFamilies() {
    var random = SplitMix64(seed: 8)
    for _ in 0..<1000 {
      let (source, destination) = (UInt32(truncatingIfNeeded: random.next()), UInt32(7))
      var plain = Checksum()
      plain.add(source)
      plain.add(destination)
      plain.add(6 as UInt16)
      plain.add(1400 as UInt32)
      var mapped = Checksum()
      mapped.addPseudoHeader(
        source: IPAddress(ipv4: source), destination: IPAddress(ipv4: destination),
        protocolNumber: 6, length: 1400)
      #expect(mapped.value == plain.value)
    }
  }
}

@Suite struct AddressScopeTests {
  @Test func linkLocal() {
    for (text, isLinkLocal) in [
      ("fe80::1", true), ("febf::1", true), ("fec0::1", false), ("fe7f::1", false), ("::1", false),
      ("169.254.0.1", false),
    ] {
      #expect(IPAddress(text)?.isLinkLocal == isLinkLocal, "\(text)")
    }
    #expect(IPAddress("::")?.isAny == true && IPAddress("0.0.0.0")?.isAny == true)
    #expect(IPAddress("::1")?.isAny == false && IPAddress("::ffff:0.0.0.1")?.isAny == false)
  }
}
