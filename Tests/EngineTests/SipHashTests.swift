import Samples
import Testing
import Wire

@testable import Engine

/// SipHash-2-4 against `vectors_sip64` of the authors' reference implementation
/// (veorq/SipHash, vectors.h): key 00 01 … 0f, message 00 01 02 … of each length.
@Suite struct SipHashTests {
  private static let key = SipHashKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)

  /// The example of appendix A of the paper: 15 bytes.
  @Test func exampleOfThePaper() {
    let message = (0..<15).map { UInt8($0) }
    #expect(sipHash(message.rawSpan, key: Self.key) == 0xa129_ca61_49be_45e5)
  }
}
