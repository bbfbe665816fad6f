import Samples
import Testing

@testable import Wire

/// The examples of docs/protocol.md: "hello" of flow 0xbeef, which is also sent on another channel.
@Suite struct FramePrefixTests {
  private static let copy = FramePrefix.copy(CopyHeader(datagram: 0x0A_0B0C))
  private static let plain = bytes(hex: "09 0009 beef 123456 0a0b0c00 68656c6c6f")
  private static let text = bytes(hex: "09 beef 0a0b0c00 68656c6c6f")

  private static func hello() -> PacketBatch {
    var packets = PacketBatch(capacity: 1, slotSize: 64)
    packets.append(copying: Array("hello".utf8).rawSpan, source: Endpoint(.any, 0))
    return packets
  }

  private static func finish(_ batch: inout SegmentBatch) {
    let header = TCPHeader(
      sourcePort: 1, destinationPort: 2, sequence: 3, acknowledgment: 4, flags: .ack, window: 5)
    batch.finishRun(header, from: .any, to: .any, identification: 0)
  }

  /// Whether the payload lies in the packet batch or is copied: the same bytes.
  @Test(arguments: [false, true]) func plainCopy(isCopied: Bool) {
    let packets = Self.hello()
    var batch = SegmentBatch(runs: 1, pieces: 8, arenaSize: 512)
    #expect(batch.beginRun(channel: nil) == true)
    let header = FrameHeader(type: .copy, length: 9, flow: 0xBEEF, number: 0x12_3456)
    let isAppended =
      isCopied
      ? batch.appendFrame(header, prefix: Self.copy, copying: packets.bytes(0..<5))
      : batch.appendFrame(header, prefix: Self.copy, payload: 0..<5)
    #expect(isAppended)
    Self.finish(&batch)
    #expect(batch.packet(0, gatheredFrom: packets).dropFirst(40) == Self.plain[...])
    #expect(batch[0].payloadLength == 17 && batch[0].segmentSize == 17)
  }

  /// What is sealed is type, flow, number and datagram as one text.
  @Test(arguments: [false, true]) func sealedCopy(isCopied: Bool) throws {
    let packets = Self.hello()
    var batch = SegmentBatch(runs: 1, pieces: 8, arenaSize: 512)
    #expect(batch.beginRun(channel: nil) == true)
    let sealed =
      isCopied
      ? batch.appendSealed(
        .copy, flow: 0xBEEF, number: 7, prefix: Self.copy, copying: packets.bytes(0..<5))
      : batch.appendSealed(.copy, flow: 0xBEEF, number: 7, prefix: Self.copy, payload: 0..<5)
    let place = try #require(sealed)
    #expect(place.head.count == (isCopied ? 12 : 7))
    #expect(place.body == (isCopied ? 0..<0 : 0..<5))
    #expect(place.byteCount == 37)
    Self.finish(&batch)
    let packet = batch.packet(0, gatheredFrom: packets).dropFirst(40)
    #expect(packet.prefix(21) == (bytes(hex: "17 0303 0020 00000007") + Self.text)[...])
    #expect(packet.count == 37)
  }

  private static func datagram(_ payload: [UInt8]) -> UInt32? {
    CopyHeader(parsing: payload.rawSpan)?.datagram
  }

  @Test func parsing() {
    #expect(Self.datagram(Array(Self.plain[8...])) == 0x0A_0B0C)
    // The fourth byte is ignored, and an empty datagram is one.
    #expect(Self.datagram([0x0A, 0x0B, 0x0C, 0xFF]) == 0x0A_0B0C)
    for length in 0..<4 { #expect(Self.datagram([UInt8](repeating: 1, count: length)) == nil) }
    #expect(CopyHeader(datagram: 0xFF0A_0B0C).encoded == 0x0A0B_0C00)
  }

  /// Each says itself which frame it is in, and how long it is there.
  @Test func typesAndSizes() throws {
    let cut = try #require(Cut(5, intoAtMost: 3))
    let fragment = FramePrefix.fragment(FragmentHeader(datagram: 1, index: 0, cut: cut))
    let all = [FramePrefix.whole, Self.copy, fragment]
    #expect(all.map(\.type) == [.datagram, .copy, .fragment])
    #expect(all.map(\.byteCount) == [0, 4, 8])
  }
}
