import Samples
import Testing
import Wire

/// RFC 1071 as written: pairs of bytes, an odd last one padded with zero.
private func referenceChecksum(_ bytes: some Collection<UInt8>) -> UInt16 {
  var sum: UInt32 = 0
  var high: UInt8?
  for byte in bytes {
    if let first = high {
      sum += UInt32(first) << 8 | UInt32(byte)
      high = nil
    } else {
      high = byte
    }
  }
  if let high { sum += UInt32(high) << 8 }
  while sum > 0xFFFF { sum = (sum >> 16) + (sum & 0xFFFF) }
  return ~UInt16(sum)
}

private func checksum(_ bytes: RawSpan) -> UInt16 {
  var checksum = Checksum()
  checksum.add(bytes)
  return checksum.value
}

@Suite struct ChecksumTests {
  @Test func equalsReferenceForEveryLengthAndAlignment() {
    var random = SplitMix64(seed: 1)
    let bytes = random.bytes(2048 + 8)
    let span = bytes.rawSpan
    for alignment in 0..<8 {
      for length in 0...2048 {
        let range = alignment..<alignment + length
        let ours = checksum(span.extracting(range))
        #expect(ours == referenceChecksum(bytes[range]), "length \(length) at \(alignment)")
      }
    }
  }

  @Test(arguments: [0x00, 0xFF] as [UInt8])
  func equalsReferenceWhereCarriesAreExtreme(byte: UInt8) {
    let bytes = [UInt8](repeating: byte, count: 65_535)
    for length in [1, 2, 7, 8, 9, 15, 16, 17, 1399, 65_534, 65_535] {
      #expect(
        checksum(bytes.rawSpan.extracting(0..<length)) == referenceChecksum(bytes[..<length]))
    }
  }

  @Test func piecesAddUp() {
    var random = SplitMix64(seed: 2)
    for length in 0...257 {
      let bytes = random.bytes(length)
      let cut = Int(random.next() % UInt64(length / 2 + 1)) * 2
      var checksum = Checksum()
      checksum.add(bytes.rawSpan.extracting(0..<cut))
      checksum.add(bytes.rawSpan.extracting(cut..<length))
      #expect(checksum.value == referenceChecksum(bytes), "\(length) bytes cut at \(cut)")
    }
  }

  @Test func numbersAddUpAsTheirBytes() {
    var checksum = Checksum()
    checksum.add(0xC0A8 as UInt16)
    checksum.add(0xFFFE_0102 as UInt32)
    #expect(checksum.value == referenceChecksum([0xC0, 0xA8, 0xFF, 0xFE, 0x01, 0x02]))
    #expect(checksum.partial == ~checksum.value)
  }

  @Test func pseudoHeaderIsThatOfRFC9293() {
    var checksum = Checksum()
    checksum.addPseudoHeader(
      source: IPAddress(ipv4: 0xC000_0201), destination: IPAddress(ipv4: 0xC633_6402),
      protocolNumber: 6, length: 0x1_2345)
    let header = bytes(hex: "c0000201 c6336402 0006 00012345")
    #expect(checksum.value == referenceChecksum(header))
  }
}
