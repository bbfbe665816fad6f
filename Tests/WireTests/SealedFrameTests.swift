import Samples
import Testing

@testable import Wire

private let source = IPAddress(ipv4: 0xC000_0201)
private let destination = IPAddress(ipv4: 0xC000_0202)
private let tcp = TCPHeader(
  sourcePort: 40_000, destinationPort: 443, sequence: 1000, acknowledgment: 2000, flags: [.ack],
  window: 502)

/// The frame of the protocol's example: sealed, so only what is outside of the seal can be read here.
private let golden = bytes(
  hex: "17 0303 001c 00000001 bc4b4e dca816a7a7 dd26913f3a6bafd142e93dd44622973a")

private struct Parsed: Equatable {
  let number: UInt32
  let payloadLength: Int
  let byteCount: Int
}

private func parse(_ wire: [UInt8], at offset: Int = 0) -> Parsed? {
  SealedFrame(parsing: wire.rawSpan, at: offset).map {
    Parsed(number: $0.number, payloadLength: $0.payloadLength, byteCount: $0.byteCount)
  }
}

@Suite struct SealedFrameTests {
  @Test func parsingReadsTheProtocolsExample() {
    #expect(parse(golden) == Parsed(number: 1, payloadLength: 5, byteCount: 33))
    #expect(SealedFrame.overhead == 28)
    #expect(SealedFrame.segmentLimit == 16_384)
  }

  @Test func headerIsTheOneOfTheProtocol() {
    var header = [UInt8](repeating: 0xEE, count: 13)
    header.withMutableRawSpan {
      SealedFrame.emitHeader(
        type: .datagram, flow: 0xBEEF, number: 0x0102_0304, payloadLength: 1400, into: &$0)
    }
    #expect(header == bytes(hex: "17 0303 058f 01020304 01 beef ee"))
  }

  @Test func frameMustBeWhole() {
    for length in 0...golden.count + 2 {
      let wire = Array((golden + [0x17, 3])[..<length])
      for offset in -1...length + 1 {
        let isParsed = parse(wire, at: offset) != nil
        #expect(isParsed == (offset == 0 && length >= golden.count), "\(length) bytes at \(offset)")
      }
      #expect(parse(wire, at: .max) == nil)
      #expect(parse(wire, at: .min) == nil)
    }
  }

  /// A length that leaves no room for number, type, flow and tag, or goes beyond the segment.
  @Test func lengthHasBounds() {
    var wire = Array(golden[..<5]) + [UInt8](repeating: 7, count: 60)
    for length in 0...UInt16(100) {
      wire[3] = UInt8(length >> 8)
      wire[4] = UInt8(length & 0xFF)
      let expected =
        (23...60).contains(length)
        ? Parsed(
          number: 0x0707_0707, payloadLength: Int(length) - 23, byteCount: Int(length) + 5) : nil
      #expect(parse(wire) == expected, "length \(length)")
    }
    (wire[3], wire[4]) = (0xFF, 0xFF)
    #expect(parse(wire) == nil)
  }

  @Test(arguments: [(0, 0x16), (0, 0x15), (0, 0x01), (1, 0x02), (2, 0x01), (2, 0x04)])
  func otherRecordsAreNone(offset: Int, value: UInt8) {
    var wire = golden
    wire[offset] = value
    #expect(parse(wire) == nil)
  }

  @Test func framesDelimitThemselves() {
    let wire = golden + golden + golden.dropLast()
    #expect(parse(wire, at: 33) == parse(golden))
    #expect(parse(wire, at: 66) == nil, "cut")
    #expect(parse(wire, at: 1) == nil)
  }
}

extension SegmentBatch {
  fileprivate mutating func finish() {
    finishRun(tcp, from: source, to: destination, identification: 7)
  }
}

/// Writes one byte all over, where a cipher would write.
private func write(_ byte: UInt8, over bytes: inout MutableRawSpan) {
  for offset in 0..<bytes.byteCount { bytes.set(byte, at: offset) }
}

/// How frames that are to be sealed lie in a batch.
@Suite struct SealedSegmentTests {
  /// Three segments: what is sealed where `SealedPlace` says is in its place on the wire.
  @Test func sealedWhereTheyLie() throws {
    var packets = PacketBatch(capacity: 3, slotSize: 1500)
    for length in [1400, 1400, 300] {
      packets.append(
        copying: [UInt8](repeating: 0xAA, count: length).rawSpan, source: Endpoint(.any, 0))
    }
    var batch = SegmentBatch(runs: 1, pieces: 16, arenaSize: 512)
    var expected: [UInt8] = []
    #expect(batch.beginRun(channel: 5) == true)
    for index in 0..<3 {
      let slot = packets.slot(index)
      let body = slot.offset..<slot.offset + slot.length
      let appended = batch.appendSealed(
        .datagram, flow: 0xBEEF, number: UInt32(index) + 9, payload: body)
      let place = try #require(appended)
      #expect(array(batch.bytes(place.head)) == [1, 0xBE, 0xEF])
      #expect(place.body == body)
      #expect(place.tag.count == 16)
      var head = batch.mutableBytes(place.head)
      write(0x10 + UInt8(index), over: &head)
      var payload = packets.mutableBytes(place.body)
      write(0x20 + UInt8(index), over: &payload)
      var tag = batch.mutableBytes(place.tag)
      write(0x30 + UInt8(index), over: &tag)
      let length = UInt16(slot.length + 23)
      expected += [0x17, 3, 3, UInt8(length >> 8), UInt8(length & 0xFF), 0, 0, 0, UInt8(index) + 9]
      expected += [UInt8](repeating: 0x10 + UInt8(index), count: 3)
      expected += [UInt8](repeating: 0x20 + UInt8(index), count: slot.length)
      expected += [UInt8](repeating: 0x30 + UInt8(index), count: 16)
    }
    batch.finish()
    let packet = batch.packet(0, gatheredFrom: packets)
    #expect(Array(packet[40...]) == expected)
    #expect(batch[0].segmentSize == 1428)
    #expect(batch[0].payloadLength == 1428 * 2 + 328)
    #expect(batch[0].segmentCount == 3)
  }

  /// Headers of the segment, then each tag with the header of the frame behind it.
  @Test func tagAndNextHeaderAreOnePiece() {
    var batch = SegmentBatch(runs: 1, pieces: 16, arenaSize: 512)
    #expect(batch.beginRun(channel: 0) == true)
    // With a gap between them, as slots have one.
    for payload in [0..<100, 200..<300, 400..<500] {
      let place = batch.appendSealed(.datagram, flow: 1, number: 0, payload: payload)
      #expect(place != nil)
    }
    batch.finish()
    let pieces = batch[0].pieces.map { batch.piece($0) }
    #expect(pieces.map(\.length) == [40 + 12, 100, 16 + 12, 100, 16 + 12, 100, 16])
    #expect(
      pieces.map(\.origin) == [.arena, .packets, .arena, .packets, .arena, .packets, .arena])
  }

  @Test func copiesAreOnePieceWithTheirHeader() throws {
    var batch = SegmentBatch(runs: 1, pieces: 2, arenaSize: 512)
    #expect(batch.beginRun(channel: nil) == true)
    let payload: [UInt8] = [0x0A, 0x0B, 0x0C, 0x0D]
    for number in UInt32(0)..<2 {
      let appended = batch.appendSealed(.probe, flow: 0, number: number, copying: payload.rawSpan)
      let place = try #require(appended)
      #expect(array(batch.bytes(place.head)) == [3, 0, 0] + payload, "sealed with type and flow")
      #expect(place.body.isEmpty)
      #expect(place.tag.lowerBound == place.head.upperBound)
    }
    batch.finish()
    let packet = batch.packet(0, gatheredFrom: PacketBatch(capacity: 0, slotSize: 0))
    #expect(batch[0].pieces.count == 1)
    #expect(packet.count == 40 + 2 * 32)
    #expect(Array(packet[40..<56]) == bytes(hex: "17 0303 001b 00000000 03 0000 0a0b0c0d"))
    #expect(parse(packet, at: 72) == Parsed(number: 1, payloadLength: 4, byteCount: 32))
  }

  @Test func emptyDatagramIsAllArena() throws {
    var batch = SegmentBatch(runs: 1, pieces: 4, arenaSize: 512)
    #expect(batch.beginRun(channel: nil) == true)
    let appended = batch.appendSealed(.datagram, flow: 2, number: 3, payload: 0..<0)
    let place = try #require(appended)
    batch.finish()
    #expect(place.body.isEmpty)
    #expect(batch[0].pieces.count == 1)
    #expect(batch[0].payloadLength == 28)
    let packet = batch.packet(0, gatheredFrom: PacketBatch(capacity: 0, slotSize: 0))
    #expect(parse(packet, at: 40) == Parsed(number: 3, payloadLength: 0, byteCount: 28))
  }

  @Test func nothingIsAppendedWithoutARun() {
    var batch = SegmentBatch(runs: 1, pieces: 4, arenaSize: 256)
    let place = batch.appendSealed(.datagram, flow: 0, number: 0, payload: 0..<0)
    let copied = batch.appendSealed(.probe, flow: 0, number: 0, copying: RawSpan())
    #expect(place == nil && copied == nil)
  }

  @Test func fullBatchRefusesAndStaysWhole() {
    var packets = PacketBatch(capacity: 1, slotSize: 100)
    packets.append(copying: [UInt8](repeating: 1, count: 100).rawSpan, source: Endpoint(.any, 0))
    expectFullBatchesWhole(upTo: 480, packets, filledBy: fill)
  }

  /// Datagrams of 100 bytes and copied frames until nothing more goes in: the payload of each run.
  private func fill(_ batch: inout SegmentBatch) -> [Int] {
    var sizes: [Int] = []
    while batch.beginRun(channel: nil) {
      var size = 0
      for number in UInt32(0)..<2 {
        guard batch.appendSealed(.datagram, flow: 0, number: number, payload: 0..<100) != nil
        else { break }
        size += 128
        guard batch.appendSealed(.close, flow: 0, number: number, copying: RawSpan()) != nil
        else { break }
        size += 28
      }
      batch.finish()
      sizes.append(size)
    }
    return sizes
  }
}
