import Samples
import Testing
import Wire

private func parse(_ wire: [UInt8], at offset: Int) -> FrameHeader? {
  FrameHeader(parsing: wire.rawSpan, at: offset)
}

@Suite struct FrameTests {
  @Test func bytesAreThoseOfTheProtocol() {
    let header = FrameHeader(type: .datagram, length: 0x0578, flow: 0xBEEF, number: 0x12_3456)
    #expect(header.encoded == 0x01_0578_BEEF_123456)
    let probe = FrameHeader(type: .probe, length: 8, number: 0xFF_FFFF)
    #expect(probe.encoded == 0x03_0008_0000_FFFFFF)
  }

  @Test(
    arguments: [
      (.datagram, 1), (.fragment, 2), (.probe, 3), (.answer, 4), (.report, 5), (.suspect, 6),
      (.close, 7), (.keepalive, 8), (.copy, 9), (.more, 10),
    ] as [(FrameType, UInt8)])
  func typesHaveTheirNumbers(type: FrameType, number: UInt8) {
    #expect(type.rawValue == number)
  }

  @Test func parsingReadsEveryFieldAtAnyOffset() throws {
    let wire = bytes(hex: "ffffff 01 0578 beef 123456 ff")
    let header = try #require(parse(wire, at: 3))
    #expect(header.type == 1)
    #expect(header.length == 0x0578)
    #expect(header.flow == 0xBEEF)
    #expect(header.number == 0x12_3456)
  }

  @Test func unknownTypeIsKeptForTheCounter() throws {
    let header = try #require(parse(bytes(hex: "ee00000000000000"), at: 0))
    #expect(header.type == 0xEE)
    #expect(FrameType(rawValue: header.type) == nil)
  }

  @Test func headerMustBeWhole() {
    let wire = [UInt8](repeating: 1, count: 20)
    for length in 0...20 {
      let span = wire.rawSpan.extracting(0..<length)
      for offset in -1...21 {
        let isParsed = FrameHeader(parsing: span, at: offset) != nil
        #expect(isParsed == (offset >= 0 && offset + 8 <= length), "\(length) bytes at \(offset)")
      }
      #expect(FrameHeader(parsing: span, at: .max) == nil)
      #expect(FrameHeader(parsing: span, at: .min) == nil)
    }
  }

  @Test func roundTripKeepsEveryField() throws {
    var random = SplitMix64(seed: 3)
    for _ in 0..<10_000 {
      let wire = random.bytes(8)
      let header = try #require(parse(wire, at: 0))
      #expect(header.encoded == wire.rawSpan.be64(at: 0))
    }
  }

  @Test func numbersWrapAt24Bits() {
    let header = FrameHeader(type: .datagram, length: 0, number: FrameHeader.numberMask &+ 1)
    #expect(header.number == 0)
  }
}
