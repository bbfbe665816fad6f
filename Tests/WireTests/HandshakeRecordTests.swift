import Samples
import Testing
import Wire

/// The content of a record, as an array.
private func content(of record: [UInt8]) -> [UInt8]? {
  guard let content = HandshakeRecord.content(of: record.rawSpan) else { return nil }
  return array(content)
}

@Suite struct HandshakeRecordTests {
  @Test func bytesAreThoseOfTheProtocol() {
    #expect(
      HandshakeRecord.bytes(containing: [0xAA, 0xBB]) == [0x16, 0x03, 0x01, 0x00, 0x02, 0xAA, 0xBB])
    #expect(HandshakeRecord.headerByteCount == 5)
  }

  @Test func everyLengthComesBack() {
    var random = SplitMix64(seed: 11)
    for length in [1, 2, 28, 104, 255, 256, 257, 16_384, 65_534, 65_535] {
      let bytes = random.bytes(length)
      let record = HandshakeRecord.bytes(containing: bytes)
      #expect(record.count == length + 5)
      #expect(content(of: record) == bytes)
    }
  }

  /// It fills its payload: a record that was cut, or has something behind it, is none.
  @Test func lengthIsThatOfThePayload() {
    let record = HandshakeRecord.bytes(containing: [UInt8](repeating: 0, count: 300))
    for length in 0..<record.count { #expect(content(of: Array(record[..<length])) == nil) }
    #expect(content(of: record + [0]) == nil)
    for change in [1, 44, 255] as [UInt8] {
      var wrong = record
      wrong[4] &+= change
      #expect(content(of: wrong) == nil)
      wrong = record
      wrong[3] &+= change
      #expect(content(of: wrong) == nil)
    }
  }

  @Test func emptyOneIsNone() {
    #expect(content(of: [0x16, 3, 1, 0, 0]) == nil)
    #expect(content(of: []) == nil)
  }

  @Test(arguments: [(0, 0x17), (0, 0x15), (0, 0x00), (1, 0x02), (1, 0x04), (2, 0x00), (2, 0x03)])
  func otherRecordsAreNone(offset: Int, value: UInt8) {
    var record = HandshakeRecord.bytes(containing: [1, 2, 3])
    record[offset] = value
    #expect(content(of: record) == nil)
  }

  /// Nothing that looks like a frame starts as a record does.
  @Test func noFrameStartsLikeIt() {
    #expect(FrameType(rawValue: HandshakeRecord.type) == nil)
    #expect(SealedFrame.type != HandshakeRecord.type)
  }
}
