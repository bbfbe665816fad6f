import Samples
import Testing
import Wire

private let source = IPAddress(ipv4: 0xC000_0201)
private let destination = IPAddress(ipv4: 0xC000_0202)
private let tcp = TCPHeader(
  sourcePort: 40000, destinationPort: 443, sequence: 1000, acknowledgment: 2000, flags: [.ack],
  window: 502)

extension SegmentBatch {
  fileprivate mutating func finish() {
    finishRun(tcp, from: source, to: destination, identification: 7)
  }
}

/// Packets with the payload of `lengths` bytes each, all different.
private func packets(_ lengths: [Int]) -> PacketBatch {
  var random = SplitMix64(seed: 4)
  var batch = PacketBatch(capacity: lengths.count, slotSize: 1500)
  for length in lengths {
    let payload = random.bytes(length)
    batch.append(copying: payload.rawSpan, source: Endpoint(.any, 0))
  }
  return batch
}

@Suite struct SegmentBatchTests {
  @Test func runIsGatheredFromHeadersAndPackets() throws {
    let packets = packets([1400, 1400, 300])
    var batch = SegmentBatch(runs: 1, pieces: 8, arenaSize: 256)
    var expected: [UInt8] = []
    #expect(batch.beginRun(channel: 5) == true)
    for index in 0..<3 {
      let slot = packets.slot(index)
      let frame = FrameHeader(
        type: .datagram, length: UInt16(slot.length), flow: 9, number: UInt32(index))
      let payload = slot.offset..<slot.offset + slot.length
      #expect(batch.appendFrame(frame, payload: payload) == true)
      expected += (0..<8).map { UInt8(truncatingIfNeeded: frame.encoded >> (56 - 8 * $0)) }
      expected += array(packets[index])
    }
    batch.finish()
    #expect(batch.count == 1)
    let run = batch[0]
    #expect(run.channel == 5)
    #expect(run.segmentSize == 1408)
    #expect(run.payloadLength == 1408 * 2 + 308)
    #expect(run.segmentCount == 3)
    #expect(run.pieces.count == 6, "the first frame header joins the segment's own")
    let packet = batch.packet(0, gatheredFrom: packets)
    #expect(Array(packet[40...]) == expected)
    #expect(Int(packet.rawSpan.be16(at: 2)) == packet.count)
  }

  @Test func headroomAndAlignmentHold() {
    var batch = SegmentBatch(runs: 8, pieces: 16, arenaSize: 4096)
    var end = 0
    for length in 1...8 {
      let payload = [UInt8](repeating: 1, count: length)
      #expect(batch.beginRun(channel: nil) == true)
      #expect(batch.append(copying: payload.rawSpan) == true)
      batch.finish()
      let run = batch[length - 1]
      #expect(run.headerOffset % 8 == 0)
      #expect(run.headerOffset - SegmentBatch.headroom >= end, "headroom is nobody else's")
      #expect(run.pieces.count == 1, "copies join the header")
      end = run.headerOffset + 40 + length
    }
  }

  @Test func runsNeverShareAPiece() {
    var batch = SegmentBatch(runs: 2, pieces: 2, arenaSize: 256)
    for _ in 0..<2 {
      #expect(batch.beginRun(channel: nil) == true)
      batch.finish()
    }
    #expect(batch[0].pieces == 0..<1)
    #expect(batch[1].pieces == 1..<2)
    #expect(batch[0].segmentCount == 1, "a bare ACK is one segment")
  }

  @Test func neighbouringPayloadsShareAPiece() {
    let packets = packets([1500, 1500])
    var batch = SegmentBatch(runs: 1, pieces: 4, arenaSize: 256)
    let close = FrameHeader(type: .close, length: 0, number: 1)
    #expect(batch.beginRun(channel: 0) == true)
    #expect(batch.appendFrame(close, copying: RawSpan()) == true)
    #expect(batch.appendFrame(close, payload: 0..<0) == true)
    #expect(batch.appendFrame(close, payload: 0..<1500) == true)
    batch.finish()
    #expect(batch[0].pieces.count == 2, "40 + 3 * 8 bytes of the arena, 1500 of the packets")
    #expect(batch.packet(0, gatheredFrom: packets).count == 40 + 3 * 8 + 1500)
  }

  @Test func optionsOfAnyLengthHaveTheirPlace() {
    for optionLength in stride(from: 0, through: 40, by: 4) {
      let options = [UInt8](repeating: 1, count: optionLength)
      var batch = SegmentBatch(runs: 1, pieces: 2, arenaSize: 256)
      #expect(batch.beginRun(channel: nil, optionLength: optionLength) == true)
      #expect(batch.append(copying: [0xAA, 0xBB].rawSpan) == true)
      batch.finishRun(
        tcp, from: source, to: destination, identification: 7, options: options.rawSpan)
      let packet = batch.packet(0, gatheredFrom: PacketBatch(capacity: 0, slotSize: 0))
      #expect(Array(packet[40...]) == options + [0xAA, 0xBB])
      #expect(packet[32] >> 4 == UInt8(5 + optionLength / 4))
    }
  }
}

@Suite struct SegmentBatchLimitTests {
  @Test(arguments: [(0, 4, 256), (4, 0, 256), (4, 4, 63), (0, 0, 0)])
  func runNeedsRoom(runs: Int, pieces: Int, arenaSize: Int) {
    var batch = SegmentBatch(runs: runs, pieces: pieces, arenaSize: arenaSize)
    #expect(batch.beginRun(channel: nil) == false)
  }

  @Test func nothingIsAppendedWithoutARun() {
    var batch = SegmentBatch(runs: 1, pieces: 4, arenaSize: 256)
    let frame = FrameHeader(type: .keepalive, length: 0, number: 0)
    #expect(batch.appendFrame(frame, payload: 0..<0) == false)
    #expect(batch.appendFrame(frame, copying: RawSpan()) == false)
    #expect(batch.append(copying: RawSpan()) == false)
  }

  @Test func fullBatchRefusesAndStaysWhole() {
    let packets = packets([100])
    expectFullBatchesWhole(upTo: 320, packets, filledBy: fill)
  }

  /// Up to four datagrams of 100 bytes a run until nothing more goes in: the payload of each run.
  private func fill(_ batch: inout SegmentBatch) -> [Int] {
    var sizes: [Int] = []
    while batch.beginRun(channel: nil) {
      var size = 0
      for number in 0..<4 as Range<UInt32> {
        let frame = FrameHeader(type: .datagram, length: 100, number: number)
        guard batch.appendFrame(frame, payload: 0..<100) else { break }
        size += 108
      }
      batch.finish()
      sizes.append(size)
    }
    return sizes
  }

  @Test func emptiedBatchTakesTheSameAgain() {
    var batch = SegmentBatch(runs: 3, pieces: 12, arenaSize: 512)
    let first = fill(&batch)
    batch.removeAll()
    #expect(batch.count == 0)
    #expect(fill(&batch) == first)
    #expect(!first.isEmpty)
  }

  @Test func largestRunFitsAPacketOfEitherFamily() {
    let payload = [UInt8](repeating: 1, count: SegmentBatch.runPayloadLimit)
    var batch = SegmentBatch(runs: 2, pieces: 4, arenaSize: 140_000)
    for address in [source, IPAddress("2001:db8::1")!] {
      #expect(batch.beginRun(channel: nil, family: address.family) == true)
      #expect(batch.append(copying: payload.rawSpan) == true)
      batch.finishRun(tcp, from: address, to: address, identification: 7)
    }
    let packets = PacketBatch(capacity: 0, slotSize: 0)
    let four = batch.packet(0, gatheredFrom: packets)
    #expect(four.count == 65_515)
    #expect(four.rawSpan.be16(at: 2) == 65_515)
    let six = batch.packet(1, gatheredFrom: packets)
    #expect(six.count == 65_535)
    #expect(six.rawSpan.be16(at: 4) == 65_495)
  }

  /// Runs of both families in one batch: each has the header of its own.
  @Test func familiesMixInABatch() {
    let addresses = [source, IPAddress("2001:db8::1")!, source, IPAddress("2001:db8::2")!]
    var batch = SegmentBatch(runs: 4, pieces: 8, arenaSize: 1024)
    for (index, address) in addresses.enumerated() {
      #expect(batch.beginRun(channel: index, family: address.family, optionLength: 4) == true)
      #expect(batch.append(copying: [UInt8(index), 2, 3].rawSpan) == true)
      batch.finishRun(
        tcp, from: address, to: address, identification: 7, flowLabel: 0xABCDE,
        options: [2, 4, 5, 180].rawSpan)
    }
    let packets = PacketBatch(capacity: 0, slotSize: 0)
    for (index, address) in addresses.enumerated() {
      let bytes = batch.packet(index, gatheredFrom: packets)
      guard let packet = IPPacket(bytes.rawSpan), let segment = TCPSegment(packet.payload) else {
        Issue.record("run \(index) is no packet")
        continue
      }
      #expect(batch[index].isIPv4 == address.isIPv4)
      #expect(batch[index].ipHeaderLength == packet.headerLength)
      #expect(packet.source == address && packet.destination == address)
      #expect(packet.payload.byteCount == 27 && segment.options.byteCount == 4)
      #expect(segment.payload.byte(at: 0) == UInt8(index))
      #expect(address.isIPv4 || bytes.rawSpan.be32(at: 0) == 0x600A_BCDE)
    }
  }
}
