import Samples
import Testing
import Wire

/// "Fragmentation needed" as a Linux router sends it: 203.0.113.1 to 192.0.2.1, next MTU 1337, about a
/// packet of 1500 bytes from 192.0.2.1:40000 to 198.51.100.2:443, sequence number 0x01020304.
@Suite struct ICMPTests {
  private static let message = bytes(
    hex: """
      45c00038 12340000 4001 0000 cb007101 c0000201
      0304 0000 0000 0539
      450005dc bab74000 3f06 0000 c0000201 c6336402  9c4001bb 01020304
      """)

  /// The message with these bytes changed, and its checksum right again.
  private static func changed(_ places: [Int: UInt8] = [:], count: Int = 56) -> [UInt8] {
    var packet = Array(message.prefix(count))
    for (place, byte) in places { packet[place] = byte }
    packet[3] = UInt8(count)
    if count > 24 {
      var checksum = Checksum()
      checksum.add(packet.rawSpan.extracting(20...))
      packet[22] = UInt8(checksum.value >> 8)
      packet[23] = UInt8(checksum.value & 255)
    }
    return packet
  }

  private static func parse(_ packet: [UInt8]) -> TooBigMessage? {
    guard let packet = IPPacket(packet.rawSpan) else { return nil }
    return TooBigMessage(packet)
  }

  @Test func everyFieldIsRead() throws {
    let message = try #require(Self.parse(Self.changed()))
    #expect(message.tuple.description == "192.0.2.1:40000-198.51.100.2:443")
    #expect(message.sequence == 0x0102_0304)
    #expect(message.limit == 1337)
  }

  @Test(
    arguments: [
      ([20: 8], "an echo"), ([21: 3], "port unreachable"), ([26: 0, 27: 0], "no MTU"),
      ([26: 5, 27: 220], "the packet would have fitted"), ([28: 0x65], "no IPv4 is quoted"),
      ([28: 0x44], "a header that is too short"), ([28: 0x46], "options that are not there"),
      ([37: 17], "UDP is quoted"), ([34: 0, 35: 7], "a later fragment is quoted"),
    ] as [([Int: UInt8], String)])
  func refused(_ places: [Int: UInt8], _ why: String) {
    #expect(Self.parse(Self.changed(places)) == nil, "\(why)")
  }

  @Test func everyCutAndWrongBitIsRefused() {
    for count in 20..<56 {
      #expect(Self.parse(Self.changed(count: count)) == nil, "\(count) bytes")
    }
    let whole = Self.changed()
    for bit in 160..<whole.count * 8 {
      var damaged = whole
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(Self.parse(damaged) == nil, "bit \(bit)")
    }
  }

  /// "Packet too big" from 2001:db8::1 to 2001:db8:1::1, next MTU 1337, about a packet of 1500 bytes to
  /// 2001:db8:2::1, with the same ports and sequence number.
  private static func tooBig(changing places: [Int: UInt8] = [:]) -> [UInt8] {
    var packet = bytes(
      hex: """
        60000000 0038 3a 40 20010db8000000000000000000000001 20010db8000100000000000000000001
        02 00 0000 00000539
        60012345 05b4 06 3f 20010db8000100000000000000000001 20010db8000200000000000000000001
        9c4001bb 01020304
        """)
    for (place, byte) in places { packet[place] = byte }
    var checksum = Checksum()
    checksum.addPseudoHeader(
      source: IPAddress("2001:db8::1")!, destination: IPAddress("2001:db8:1::1")!,
      protocolNumber: 58, length: 56)
    checksum.add(packet.rawSpan.extracting(40...))
    packet[42] = UInt8(checksum.value >> 8)
    packet[43] = UInt8(checksum.value & 255)
    return packet
  }

  @Test func everyFieldIsReadOnIPv6() throws {
    let message = try #require(Self.parse(Self.tooBig()))
    #expect(message.tuple.description == "[2001:db8:1::1]:40000-[2001:db8:2::1]:443")
    #expect(message.sequence == 0x0102_0304)
    #expect(message.limit == 1337)
  }

  @Test(
    arguments: [
      ([40: 128], "an echo"), ([41: 1], "another code"), ([44: 255], "more than the packet has"),
      ([48: 0x45], "no IPv6 is quoted"), ([54: 17], "UDP is quoted"),
    ] as [([Int: UInt8], String)])
  func refusedOnIPv6(_ places: [Int: UInt8], _ why: String) {
    #expect(Self.parse(Self.tooBig(changing: places)) == nil, "\(why)")
  }

  @Test func everyWrongBitIsRefusedOnIPv6() {
    let whole = Self.tooBig()
    for bit in 320..<whole.count * 8 {
      var damaged = whole
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(Self.parse(damaged) == nil, "bit \(bit)")
    }
  }
}
