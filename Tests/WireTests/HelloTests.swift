import Samples
import Testing
import Wire

private let golden = bytes(
  hex: """
    160301 001c
    01 07 05b4 05b4 0000 a1b2c3d4
    00112233445566778899aabbccddeeff
    """)

private let hello = Hello(
  observed: TCPOptions(maximumSegmentSize: 1460, windowScale: 7), segmentSize: 1460,
  channel: 0xA1B2_C3D4,
  session: SessionID(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF))

private func emit(_ hello: Hello) -> [UInt8] {
  HandshakeRecord.bytes(containing: hello.bytes)
}

private func parse(_ record: [UInt8]) -> Hello? {
  guard let content = HandshakeRecord.content(of: record.rawSpan) else { return nil }
  return Hello(parsing: content)
}

@Suite struct HelloTests {
  @Test func bytesAreThoseOfTheProtocol() {
    #expect(emit(hello) == golden)
    #expect(HandshakeRecord.headerByteCount + Hello.byteCount == golden.count)
  }

  @Test func parsingReadsEveryField() throws {
    let parsed = try #require(parse(golden))
    #expect(parsed == hello)
    #expect(parsed.version == Hello.currentVersion)
  }

  @Test func absentOptionsSurvive() {
    var bare = hello
    bare.observed = TCPOptions(maximumSegmentSize: nil, windowScale: nil)
    #expect(parse(emit(bare)) == bare)
    bare.observed = TCPOptions(maximumSegmentSize: 536, windowScale: 0)
    #expect(parse(emit(bare)) == bare)
  }

  @Test func recordMustBeWhole() {
    for length in 0..<golden.count { #expect(parse(Array(golden[..<length])) == nil) }
    #expect(parse(golden + [0]) == nil, "the record's length says less")
  }

  @Test func laterVersionMayAddFields() throws {
    var longer = golden + [1, 2, 3]
    longer[4] += 3
    longer[5] = 9
    let parsed = try #require(parse(longer))
    #expect(parsed.version == 9)
    #expect(parsed.session == hello.session)
  }

  @Test func recordShorterThanItsHelloIsNone() {
    var short = golden
    short[4] -= 1
    #expect(parse(short) == nil)
    #expect(parse(Array(short.dropLast())) == nil)
  }

  @Test(arguments: [(0, 0x17), (1, 0x02), (2, 0x03), (6, 15), (6, 0xFE)])
  func foreignFirstPayloadIsRejected(offset: Int, value: Int) {
    var record = golden
    record[offset] = UInt8(value)
    #expect(parse(record) == nil)
  }
}
