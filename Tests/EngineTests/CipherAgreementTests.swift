import Crypto
import Testing
import Wire

@testable import Engine

@Suite struct CipherAgreementTests {
  /// What a side says.
  private struct Side: Sendable {
    let preference: CipherPreference
    let hasFastAES: Bool

    var flags: HelloFlags { preference.flags(hasFastAES: hasFastAES) }

    static let all = CipherPreference.allCases.flatMap { preference in
      [false, true].map { Side(preference: preference, hasFastAES: $0) }
    }
  }

  /// The rule in other words: what one side names is what it is, or nothing.
  private static func expected(_ one: Side, _ other: Side) -> CipherAgreement? {
    switch (one.preference, other.preference) {
    case (.none, .none): .plain
    case (.none, _), (_, .none): nil
    case (.auto, .auto):
      .sealed(one.hasFastAES && other.hasFastAES ? .aes256GCM : .chaCha20Poly1305)
    case (.aesGCM, .chaCha20), (.chaCha20, .aesGCM): nil
    case (.aesGCM, _), (_, .aesGCM): .sealed(.aes256GCM)
    case (.chaCha20, _), (_, .chaCha20): .sealed(.chaCha20Poly1305)
    }
  }

  @Test("Every pair of preferences and processors agrees on the same at both ends")
  func everyPair() {
    for one in Side.all {
      for other in Side.all {
        let agreement = CipherAgreement(one.flags, other.flags)
        #expect(agreement == Self.expected(one, other), "\(one) and \(other)")
        #expect(agreement == CipherAgreement(other.flags, one.flags))
      }
    }
  }

  @Test(
    arguments: [
      (.auto, true, 7), (.auto, false, 6), (.aesGCM, true, 3), (.aesGCM, false, 2),
      (.chaCha20, true, 5), (.chaCha20, false, 4), (.none, true, 9), (.none, false, 8),
    ] as [(CipherPreference, Bool, UInt16)])
  func flagsAreThoseOfTheProtocol(preference: CipherPreference, hasFastAES: Bool, bits: UInt16) {
    #expect(preference.flags(hasFastAES: hasFastAES).rawValue == bits)
  }

  /// Plain data is never what two sides end in that could seal it.
  @Test func sealedComesFirst() {
    let all = HelloFlags(rawValue: 0x000F)
    #expect(CipherAgreement(all, all) == .sealed(.aes256GCM))
    #expect(CipherAgreement([.chaCha20, .plain], all) == .sealed(.chaCha20Poly1305))
    #expect(CipherAgreement([.plain], all) == .plain)
  }

  @Test func unknownBitsMeanNothing() {
    let unknown = HelloFlags(rawValue: 0xF0)
    #expect(CipherAgreement(unknown, unknown) == nil)
    #expect(CipherAgreement([], []) == nil)
    for side in Side.all {
      #expect(
        CipherAgreement(side.flags.union(unknown), side.flags.union(unknown))
          == CipherAgreement(side.flags, side.flags))
    }
  }
}
