import Samples
import Testing
import Wire

/// What a message says, as values that can be compared.
private func parsed(_ packet: [UInt8]) -> (header: EchoHeader, payload: [UInt8])? {
  guard let packet = IPPacket(packet.rawSpan), let message = EchoMessage(packet) else { return nil }
  return (message.header, array(message.payload))
}

private func isChecksumValid(_ packet: [UInt8]) -> Bool {
  guard let packet = IPPacket(packet.rawSpan) else { return false }
  return ICMP.isChecksumValid(of: packet)
}

@Suite struct ICMPEchoTests {
  /// What ping(8) of iputils sends, and Linux answers, with the badge of a request and a frame's first
  /// bytes behind it: `ping -c1 -s 13 -p 52534351a1b2c3d40100000568`.
  private static let pings = [
    (
      request: bytes(
        hex: """
          45000029f0ac40004001c623c0000202c0000201 08004052537b0001
          52534351 a1b2c3d4 0100000568
          """),
      answer: bytes(
        hex: """
          45000029f8f800004001fdd7c0000201c0000202 00004852537b0001
          52534351 a1b2c3d4 0100000568
          """), identification: UInt16(0xF0AC), flowLabel: UInt32(0), identifier: UInt16(0x537B)
    ),
    (
      request: bytes(
        hex: """
          600710df00153a40 20010db8000000000000000000000002 20010db8000000000000000000000001
          80006c8b537d0001 52534351 a1b2c3d4 0100000568
          """),
      answer: bytes(
        hex: """
          6000e4ea00153a40 20010db8000000000000000000000001 20010db8000000000000000000000002
          81006b8b537d0001 52534351 a1b2c3d4 0100000568
          """), identification: UInt16(0), flowLabel: UInt32(0x710DF), identifier: UInt16(0x537D)
    ),
  ]

  @Test func aRealPingIsRead() {
    for ping in Self.pings {
      let message = parsed(ping.request)
      #expect(
        message?.header == EchoHeader(.request, identifier: ping.identifier, sequence: 1))
      #expect(message?.payload == bytes(hex: "a1b2c3d4 0100000568"))
      #expect(isChecksumValid(ping.request) && isChecksumValid(ping.answer))
    }
  }

  /// The kernel's answer has the request's badge.
  @Test func aRequestThatCameBackIsNone() {
    for ping in Self.pings { #expect(parsed(ping.answer) == nil) }
  }

  @Test func whatIsSentIsWhatPingSends() {
    let packets = PacketBatch(capacity: 1, slotSize: 64)
    for ping in Self.pings {
      let (source, destination) = ping.request.rawSpan.addresses
      var batch = SegmentBatch(runs: 2, pieces: 4, arenaSize: 512)
      #expect(
        batch.beginEcho(channel: 3, number: 0xA1B2_C3D4, family: source.family) == true)
      #expect(batch.append(copying: bytes(hex: "0100000568").rawSpan) == true)
      batch.finishEcho(
        EchoHeader(.request, identifier: ping.identifier, sequence: 1), from: source,
        to: destination, identification: ping.identification, flowLabel: ping.flowLabel)
      batch.completeChecksums(packets: packets)
      #expect(batch[0].channel == 3 && !batch[0].isTCP && batch[0].datagramPath == nil)
      #expect(batch[0].payloadLength == 5 && batch[0].segmentCount == 1)
      #expect(batch.packet(0, gatheredFrom: packets) == ping.request)
    }
  }

  /// Messages have no channel's number in front; a reply has a type and a badge of its own.
  @Test func aReplyWithoutANumber() {
    let packets = PacketBatch(capacity: 1, slotSize: 64)
    for (family, type) in [(AddressFamily.ipv4, UInt8(0)), (.ipv6, 129)] {
      let request = Self.pings[family == .ipv4 ? 0 : 1].request
      let (client, server) = request.rawSpan.addresses
      let message = ChannelMessage.bytes(.unknown, channel: 7)
      var batch = SegmentBatch(runs: 2, pieces: 4, arenaSize: 512)
      #expect(batch.beginEcho(channel: nil, number: nil, family: family) == true)
      #expect(batch.append(copying: message.rawSpan) == true)
      batch.finishEcho(
        EchoHeader(.reply, identifier: 9, sequence: 0xFFFF), from: server, to: client,
        identification: 0, flowLabel: 0)
      batch.completeChecksums(packets: packets)
      let packet = batch.packet(0, gatheredFrom: packets)
      #expect(isChecksumValid(packet))
      let start = family == .ipv4 ? 20 : 40
      #expect(Array(packet[start..<start + 2]) == [type, 0])
      #expect(Array(packet[(start + 8)..<start + 12]) == bytes(hex: "52534341"))
      #expect(parsed(packet)?.header == EchoHeader(.reply, identifier: 9, sequence: 0xFFFF))
      #expect(parsed(packet)?.payload == message)
    }
  }

  /// Pieces of any length, in the arena and in the packets, sum up to what the plain sum over them is.
  @Test func checksumsOfAllLengths() {
    var random = SplitMix64(seed: 3)
    var packets = PacketBatch(capacity: 2, slotSize: 2048)
    let payload = random.bytes(2048)
    packets.append(copying: payload.rawSpan, source: Endpoint(.any, 0))
    let request = Self.pings[1].request
    let (source, destination) = request.rawSpan.addresses
    for length in 0..<300 {
      for family in AddressFamily.allCases {
        var batch = SegmentBatch(runs: 1, pieces: 16, arenaSize: 2048)
        #expect(batch.beginEcho(channel: 1, number: 5, family: family) == true)
        for part in 0..<3 {
          let range = part * 300..<part * 300 + (part == 2 ? length / 2 : length)
          let frame = FrameHeader(
            type: .datagram, length: UInt16(range.count), flow: 1, number: UInt32(part))
          if part > 0 { batch.joinSegment() }
          #expect(batch.appendFrame(frame, payload: range) == true)
        }
        let isIPv4 = family == .ipv4
        batch.finishEcho(
          EchoHeader(.reply, identifier: 1, sequence: 2),
          from: isIPv4 ? IPAddress(ipv4: 1) : source,
          to: isIPv4 ? IPAddress(ipv4: 2) : destination, identification: 1, flowLabel: 1)
        batch.completeChecksums(packets: packets)
        let packet = batch.packet(0, gatheredFrom: packets)
        #expect(isChecksumValid(packet), "\(length)")
        #expect(parsed(packet)?.payload.count == packet.count - (isIPv4 ? 32 : 52))
      }
    }
  }

  @Test func otherMessagesAreNone() {
    for ping in Self.pings {
      let start = ping.request.count - 21
      for length in 0..<start + 12 {
        // As an IP packet of this length, too.
        var cut = Array(ping.request[..<length])
        #expect(parsed(cut) == nil)
        if start == 20, length >= 20 { cut[3] = UInt8(length) }
        if start == 40, length >= 40 { cut[5] = UInt8(length - 40) }
        #expect(parsed(cut) == nil)
      }
      // Another type, a code, a wrong badge, the other family's protocol.
      let protocolOffset = start == 20 ? 9 : 6
      for offset in [start, start + 1, start + 8, start + 11, protocolOffset] {
        for bit in 0..<8 {
          var other = ping.request
          other[offset] ^= 1 << UInt8(bit)
          #expect(parsed(other) == nil, "\(offset) \(bit)")
        }
      }
      var other = ping.request
      other[protocolOffset] = start == 20 ? 58 : 1
      #expect(parsed(other) == nil)
      other = ping.request
      other[start + 5] ^= 1
      #expect(parsed(other) != nil && !isChecksumValid(other))
    }
  }

  /// ping(8) begins with the time, low bytes first or high bytes first: no ping of today has a badge.
  @Test func badgesAreTimesOfThePast() {
    for kind in EchoKind.allCases {
      for seconds in [kind.rawValue, kind.rawValue.byteSwapped] { #expect(seconds < 1_700_000_000) }
    }
  }

  @Test func aFullBatchTakesNoMore() {
    var batch = SegmentBatch(runs: 1, pieces: 4, arenaSize: 100)
    #expect(batch.beginEcho(channel: nil, number: 1, family: .ipv6) == true)
    #expect(batch.append(copying: [UInt8](repeating: 1, count: 30).rawSpan) == false)
    batch.abandonRun()
    #expect(batch.beginEcho(channel: nil, number: 1, family: .ipv6) == false)
  }
}
