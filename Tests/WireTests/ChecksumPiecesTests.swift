// The checksum of pieces added one after the other against that of the whole.

import Samples
import Testing
import Wire

@Suite struct ChecksumPiecesTests {
  @Test("Pieces of any length sum to the same as the whole")
  func pieces() {
    var random = SplitMix64(seed: 1)
    for length in 0..<300 {
      let bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      var sum = Checksum()
      var offset = 0
      while offset < length {
        let end = min(length, offset + 1 + Int(random.next() % 23))
        unsafe sum.add(bytes.span.bytes.extracting(offset..<end), at: offset)
        offset = end
      }
      #expect(sum.value == Self.reference(bytes), "\(length) bytes")
    }
  }

  /// RFC 1071, section 4.1, as it stands there.
  private static func reference(_ bytes: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for (index, byte) in bytes.enumerated() { sum += UInt32(byte) << (index % 2 == 0 ? 8 : 0) }
    while sum >> 16 != 0 { sum = (sum & 0xFFFF) + (sum >> 16) }
    return ~UInt16(sum)
  }
}
