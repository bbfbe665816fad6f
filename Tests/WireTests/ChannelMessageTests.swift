import Samples
import Testing
import Wire

/// What a message says, as values that can be compared.
private func parsed(_ bytes: [UInt8]) -> (
  kind: ChannelMessage.Kind, channel: UInt32, content: [UInt8]
)? {
  guard let message = ChannelMessage(parsing: bytes.rawSpan) else { return nil }
  return (message.kind, message.channel, array(message.content))
}

@Suite struct ChannelMessageTests {
  private static let channel: UInt32 = 0xA1B2_C3D4
  private static let token = ChannelMessage.bytes(ofToken: 0x0123_4567_89AB_CDEF)
  private static let hello = Hello(
    observed: TCPOptions(maximumSegmentSize: nil, windowScale: nil), segmentSize: 1468,
    channel: channel, session: SessionID(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF))
  private static let helloBytes: [UInt8] = [
    0x01, 0xFF, 0, 0, 0x05, 0xBC, 0, 0, 0xA1, 0xB2, 0xC3, 0xD4, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
    0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF,
  ]
  private static let tokenBytes: [UInt8] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF]
  private static let channelBytes: [UInt8] = [0xA1, 0xB2, 0xC3, 0xD4]

  /// The examples of docs/protocol.md.
  private static let examples: [(ChannelMessage.Kind, content: [UInt8], bytes: [UInt8])] = [
    (
      .knock, [UInt8](repeating: 0, count: 12),
      [0x16, 3, 1, 0, 0x11, 1] + channelBytes + [UInt8](repeating: 0, count: 12)
    ),
    (.token, token, [0x16, 3, 1, 0, 0x0D, 2] + channelBytes + tokenBytes),
    (
      .opening, token + hello.bytes,
      [0x16, 3, 1, 0, 0x29, 3] + channelBytes + tokenBytes + helloBytes
    ),
    (.answer, hello.bytes, [0x16, 3, 1, 0, 0x21, 4] + channelBytes + helloBytes),
    (.unknown, [], [0x16, 3, 1, 0, 5, 5] + channelBytes),
  ]

  @Test func bytesAreThoseOfTheProtocol() {
    for (kind, content, bytes) in Self.examples {
      #expect(ChannelMessage.bytes(kind, channel: Self.channel, content: content) == bytes)
      let message = parsed(bytes)
      #expect(message?.kind == kind && message?.channel == Self.channel)
      #expect(message?.content == content)
    }
    #expect(
      ChannelMessage.headerByteCount == 10 && ChannelMessage.tokenByteCount == Self.token.count)
  }

  /// No answer of a server is longer than the shortest that draws it.
  @Test func answersAreNoLonger() {
    let knock = ChannelMessage.headerByteCount + ChannelMessage.shortestKnock
    #expect(Self.examples[1].bytes.count <= knock)
    #expect(Self.examples[3].bytes.count <= Self.examples[2].bytes.count)
    #expect(Self.examples[4].bytes.count <= ChannelNumber.byteCount + FrameHeader.byteCount)
  }

  @Test func whatIsCutOrLongerIsNone() {
    for (_, _, bytes) in Self.examples {
      for length in 0..<bytes.count { #expect(parsed(Array(bytes[..<length])) == nil) }
      #expect(parsed(bytes + [0]) == nil)
    }
  }

  @Test func unknownKindsAreNone() {
    for kind in UInt8.min...UInt8.max {
      let bytes: [UInt8] = [0x16, 3, 1, 0, 5, kind] + Self.channelBytes
      #expect((parsed(bytes) != nil) == (1...5).contains(kind))
    }
  }

  @Test func noChannelLooksLikeAMessage() {
    #expect(!ChannelNumber.isValid(0x1600_0000) && !ChannelNumber.isValid(0x16FF_FFFF))
    #expect(ChannelNumber.isValid(0x15FF_FFFF) && ChannelNumber.isValid(0x1700_0000))
  }

  /// The channel stands in front of each segment, and nothing in front of a message.
  @Test func runsForUDPHaveTheChannelInEachSegment() {
    var random = SplitMix64(seed: 4)
    var packets = PacketBatch(capacity: 3, slotSize: 1500)
    let payloads = [1000, 1000, 5].map { random.bytes($0) }
    for payload in payloads { packets.append(copying: payload.rawSpan, source: Endpoint(.any, 0)) }
    let path = FourTuple(
      local: Endpoint(IPAddress(ipv4: 0xC000_0201), 443),
      remote: Endpoint(IPAddress(ipv4: 0xC000_0202), 40_000))
    var batch = SegmentBatch(runs: 2, pieces: 16, arenaSize: 1024)
    var expected: [UInt8] = []
    #expect(batch.beginRun(on: path, channel: Self.channel) == true)
    for index in 0..<3 {
      let slot = packets.slot(index)
      let frame = FrameHeader(
        type: .datagram, length: UInt16(slot.length), flow: 9, number: UInt32(index))
      #expect(
        batch.appendFrame(frame, payload: slot.offset..<slot.offset + slot.length) == true)
      expected += Self.channelBytes
      expected += (0..<8).map { UInt8(truncatingIfNeeded: frame.encoded >> (56 - 8 * $0)) }
      expected += payloads[index]
    }
    batch.finishRun()
    #expect(batch.beginRun(on: path, channel: nil) == true)
    #expect(batch.append(copying: Self.token.rawSpan) == true)
    batch.finishRun()
    #expect(batch[0].datagramPath == path && batch[1].datagramPath == path)
    #expect(batch[0].segmentSize == 1012 && batch[0].payloadLength == 2 * 1012 + 17)
    #expect(batch[0].segmentCount == 3)
    #expect(batch.packet(0, gatheredFrom: packets) == expected)
    #expect(batch.packet(1, gatheredFrom: packets) == Self.token)
  }

  /// Frames that share a segment have one channel in front of them.
  @Test func framesOfOneSegmentShareTheChannel() {
    let path = FourTuple(local: Endpoint(.any, 1), remote: Endpoint(.any, 2))
    var batch = SegmentBatch(runs: 4, pieces: 8, arenaSize: 256)
    let bytes = [UInt8](repeating: 1, count: 12)
    let header = FrameHeader(type: .probe, length: 12, number: 0)
    #expect(batch.beginRun(on: path, channel: Self.channel) == true)
    for number in 0..<5 {
      if number % 2 == 1 { batch.joinSegment() }
      #expect(batch.appendFrame(header, copying: bytes.rawSpan) == true)
    }
    batch.setSegmentSize(40)
    batch.finishRun()
    #expect(batch[0].segmentSize == 44 && batch[0].payloadLength == 44 + 44 + 24)
    let packets = PacketBatch(capacity: 1, slotSize: 64)
    let sent = batch.packet(0, gatheredFrom: packets)
    for start in [0, 44, 88] { #expect(Array(sent[start..<start + 4]) == Self.channelBytes) }
    #expect(sent[24] == FrameType.probe.rawValue)
  }

  @Test func aFullBatchTakesNoMore() {
    let path = FourTuple(local: Endpoint(.any, 1), remote: Endpoint(.any, 2))
    var batch = SegmentBatch(runs: 4, pieces: 8, arenaSize: 64)
    let bytes = [UInt8](repeating: 1, count: 20)
    let header = FrameHeader(type: .probe, length: 20, number: 0)
    #expect(batch.beginRun(on: path, channel: 1) == true)
    #expect(batch.appendFrame(header, copying: bytes.rawSpan) == true)
    #expect(batch.appendFrame(header, copying: bytes.rawSpan) == true)
    #expect(batch.appendFrame(header, copying: bytes.rawSpan) == false)
    batch.finishRun()
    #expect(batch[0].payloadLength == 64)
  }
}
