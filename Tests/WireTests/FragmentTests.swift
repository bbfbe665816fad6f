import Samples
import Testing
import Wire

private func parse(_ payload: [UInt8]) -> FragmentHeader? {
  FragmentHeader(parsing: payload.rawSpan)
}

/// The examples of docs/protocol.md: "hello" of flow 0xbeef, cut after 3 bytes.
@Suite struct FragmentTests {
  @Test func bytesAreThoseOfTheProtocol() throws {
    let cut = try #require(Cut(5, intoAtMost: 4))
    #expect(cut.size == 3 && cut.count == 2, "as equal as can be")
    var packets = PacketBatch(capacity: 1, slotSize: 64)
    packets.append(copying: Array("hello".utf8).rawSpan, source: Endpoint(.any, 0))
    var batch = SegmentBatch(runs: 1, pieces: 8, arenaSize: 512)
    #expect(batch.beginRun(channel: nil) == true)
    for index in 0..<2 {
      let fragment = FragmentHeader(datagram: 0x0A_0B0C, index: index, cut: cut)
      let range = cut.range(of: index)
      let header = FrameHeader(
        type: .fragment, length: UInt16(8 + range.count), flow: 0xBEEF,
        number: 0x12_3456 + UInt32(index))
      #expect(batch.appendFrame(header, prefix: .fragment(fragment), payload: range) == true)
    }
    finish(&batch)
    #expect(
      batch.packet(0, gatheredFrom: packets).dropFirst(40)
        == bytes(
          hex: """
            02 00 0b be ef 12 34 56  0a 0b 0c 00 00 03 00 05  68 65 6c \
            02 00 0a be ef 12 34 57  0a 0b 0c 01 00 03 00 05  6c 6f
            """)[...])
    #expect(batch[0].segmentSize == 19)
    #expect(batch[0].segmentCount == 2)
  }

  /// What is sealed is the header and the piece as one text.
  @Test func sealedPlaceHasHeaderAndPiece() throws {
    let cut = try #require(Cut(5, intoAtMost: 4))
    var packets = PacketBatch(capacity: 1, slotSize: 64)
    packets.append(copying: Array("hello".utf8).rawSpan, source: Endpoint(.any, 0))
    var batch = SegmentBatch(runs: 1, pieces: 8, arenaSize: 512)
    #expect(batch.beginRun(channel: nil) == true)
    let fragment = FragmentHeader(datagram: 0x0A_0B0C, index: 1, cut: cut)
    let sealed = batch.appendSealed(
      .fragment, flow: 0xBEEF, number: 7, prefix: .fragment(fragment), payload: 3..<5)
    let place = try #require(sealed)
    #expect(place.head.count == 11)
    #expect(place.body == 3..<5)
    let tag = bytes(hex: "000102030405060708090a0b0c0d0e0f")
    for index in 0..<16 {
      var span = batch.mutableBytes(place.tag)
      span.set(tag[index], at: index)
    }
    finish(&batch)
    #expect(
      batch.packet(0, gatheredFrom: packets).dropFirst(40)
        == (bytes(hex: "17 0303 0021 00000007 02beef 0a0b0c01 0003 0005 6c6f") + tag)[...])
  }

  private func finish(_ batch: inout SegmentBatch) {
    let header = TCPHeader(
      sourcePort: 1, destinationPort: 2, sequence: 3, acknowledgment: 4, flags: .ack, window: 5)
    batch.finishRun(header, from: .any, to: .any, identification: 0)
  }

  @Test func parsingReadsEveryField() throws {
    let header = try #require(parse(bytes(hex: "0a0b0c 01 0003 0005 6c6f")))
    #expect(header.datagram == 0x0A_0B0C)
    #expect(header.index == 1)
    #expect(header.cut.size == 3 && header.cut.total == 5 && header.cut.count == 2)
    #expect(header.encoded == 0x0A0B_0C01_0003_0005)
  }

  @Test(
    "What no sender makes is no fragment",
    arguments: [
      ("", "nothing"), ("0a0b0c 00 0003 00", "half a header"),
      ("0a0b0c 00 0003 0005", "no bytes"), ("0a0b0c 00 0003 0005 6865", "too few bytes"),
      ("0a0b0c 00 0003 0005 68656c6c", "too many bytes"),
      ("0a0b0c 01 0003 0005 6c", "too few in the last piece"),
      ("0a0b0c 01 0003 0005 6c6f6f", "too many in the last piece"),
      ("0a0b0c 02 0003 0005 6c", "a piece behind the last"),
      ("0a0b0c ff 0003 0005 6c", "a piece far behind the last"),
      ("0a0b0c 00 0000 0005 68", "pieces of nothing"), ("0a0b0c 00 0003 0000 68656c", "of nothing"),
      ("0a0b0c 00 0005 0005 68656c6c6f", "one piece is no cut"),
      ("0a0b0c 00 0001 0101 68", "257 pieces"), ("0a0b0c 00 0001 ffe4 68", "over 65,507 bytes"),
    ])
  func refused(hex: String, why: String) {
    #expect(parse(bytes(hex: hex)) == nil, "\(why)")
  }

  @Test func everyCutIsWholeAndEqual() {
    for limit in [1, 2, 3, 255, 256, 257, 476, 1424, 1444, 32_753, 65_506] {
      for total in [1, 2, 256, 257, 511, 1400, 1472, 9000, 65_506, 65_507, 65_508] {
        let isPossible = total > limit && total <= 65_507 && (total + limit - 1) / limit <= 256
        guard let cut = Cut(total, intoAtMost: limit) else {
          #expect(!isPossible, "\(total) bytes into \(limit)")
          continue
        }
        #expect(isPossible, "\(total) bytes into \(limit)")
        #expect(cut.size <= limit && cut.count == (total + limit - 1) / limit)
        var end = 0
        for index in 0..<cut.count {
          let range = cut.range(of: index)
          #expect(range.lowerBound == end)
          #expect(index == cut.count - 1 ? !range.isEmpty : range.count == cut.size)
          end = range.upperBound
        }
        #expect(end == total)
        #expect(Cut(size: cut.size, total: total) == cut)
      }
    }
  }

  @Test func roundTripKeepsEveryField() {
    var random = SplitMix64(seed: 4)
    var count = 0
    for _ in 0..<100_000 {
      var payload = random.bytes(8)
      payload[4] = 0  // few sizes above 255, or hardly any is whole
      payload += [UInt8](repeating: 0, count: Int(payload[5]))
      guard let header = parse(payload) else { continue }
      count += 1
      #expect(header.encoded == payload.rawSpan.be64(at: 0))
    }
    #expect(count > 100, "\(count) were fragments")
  }
}
