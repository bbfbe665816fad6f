import Samples
import Testing
import Wire

private let golden = bytes(
  hex: """
    000001a0c4506c00 01020304
    5c21e0220fdffdd8535e4b4857d175f8
    """)

private let supplement = HelloSupplement(
  time: 1_790_000_000_000, cookie: 0x0102_0304,
  resetToken: ResetToken(high: 0x5C21_E022_0FDF_FDD8, low: 0x535E_4B48_57D1_75F8))

private let hello = Hello(
  observed: TCPOptions(maximumSegmentSize: 1460, windowScale: 7), segmentSize: 1460,
  channel: 0xA1B2_C3D4,
  session: SessionID(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF))

private func parse(_ payload: [UInt8]) -> HelloSupplement? {
  HelloSupplement(parsingBehindHello: payload.rawSpan)
}

private func token(_ bytes: [UInt8], at offset: Int) -> ResetToken? {
  ResetToken(parsing: bytes.rawSpan, at: offset)
}

@Suite struct HelloSupplementTests {
  @Test func bytesAreThoseOfTheProtocol() {
    #expect(supplement.bytes == golden)
    #expect(golden.count == HelloSupplement.byteCount)
    #expect(parse(hello.bytes + golden) == supplement)
  }

  @Test func supplementMustBeWhole() {
    let payload = hello.bytes + golden
    for length in 0..<payload.count { #expect(parse(Array(payload[..<length])) == nil) }
  }

  @Test func paddingIsIgnored() {
    for length in [1, 100, 399] {
      let padding = [UInt8](repeating: 0, count: length)
      #expect(parse(hello.bytes + golden + padding) == supplement)
    }
  }

  @Test func roundTripKeepsEveryField() {
    var random = SplitMix64(seed: 12)
    for _ in 0..<10_000 {
      let wire = random.bytes(HelloSupplement.byteCount)
      #expect(parse(hello.bytes + wire)?.bytes == wire)
    }
    let plain = HelloSupplement(time: .max)
    #expect(parse(hello.bytes + plain.bytes) == plain)
    #expect(plain.bytes == [UInt8](repeating: 0xFF, count: 8) + [UInt8](repeating: 0, count: 20))
  }

  @Test func resetTokenMustBeWhole() {
    let bytes = (0..<UInt8(20)).map { $0 }
    for offset in -1...20 {
      let parsed = token(bytes, at: offset)
      #expect(
        parsed?.bytes == ((0...4).contains(offset) ? Array(bytes[offset..<offset + 16]) : nil))
    }
    #expect(token(bytes, at: .max) == nil)
    #expect(token(bytes, at: .min) == nil)
    #expect(token(Array(bytes[..<15]), at: 0) == nil)
  }
}

@Suite struct HelloFlagsTests {
  @Test(
    arguments: [
      (.hasFastAES, 1), (.aesGCM, 2), (.chaCha20, 4), (.plain, 8), ([.aesGCM, .chaCha20], 6),
    ] as [(HelloFlags, UInt8)])
  func bitsAreThoseOfTheProtocol(flags: HelloFlags, bits: UInt8) {
    var flagged = hello
    flagged.flags = flags
    #expect(flagged.bytes[6...7] == [0, bits])
  }

  /// Bits of a later version are no reason to refuse a Hello.
  @Test func unknownBitsSurvive() {
    var flagged = hello
    flagged.flags = HelloFlags(rawValue: 0xF0)
    flagged.budget = ByteBudget(code: 0xFF)
    #expect(Hello(parsing: flagged.bytes.rawSpan) == flagged)
  }
}
