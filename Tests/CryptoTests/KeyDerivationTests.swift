import AllocationCounter
import Glibc
import Samples
import Testing

@testable import Crypto

@Suite struct KeyDerivationTests {
  /// RFC 5869, appendix A.3: no salt, which is 32 zeros, and no info.
  @Test func hkdfVector() {
    let extracted = "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04"
    let expanded = """
      8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8
      """
    let input = [UInt8](repeating: 0x0B, count: 22)
    let chainingKey = SecretKey { _ in }
    let (first, second) = chainingKey.derivePair(mixing: input.rawSpan)
    #expect(Array((first.octets + second.octets)[..<42]) == bytes(hex: expanded))

    let triple = chainingKey.deriveTriple(mixing: input.rawSpan)
    #expect(triple.0 == first && triple.1 == second)
    let third = hmacSHA256(
      second.bytes, [3].rawSpan, key: SecretKey(copying: bytes(hex: extracted).rawSpan))
    #expect(triple.2.octets == third.bytes.octets)
  }

  @Test func chainingKeyAndInputBothMatter() {
    let one = SecretKey { $0.storeBytes(of: 1, as: UInt8.self) }
    let results = [
      one.derivePair(mixing: RawSpan()), one.derivePair(mixing: [0].rawSpan),
      SecretKey { _ in }.derivePair(mixing: RawSpan()),
    ]
    #expect(Set(results.flatMap { [$0.0.octets, $0.1.octets] }).count == 6)
  }

  /// RFC 7914, section 12, without the last, which takes 1 GiB.
  @Test(
    arguments: [
      (
        "", "", 16, 1, 1,
        """
        77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442
        fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906
        """
      ),
      (
        "password", "NaCl", 1024, 8, 16,
        """
        fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162
        2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640
        """
      ),
      (
        "pleaseletmein", "SodiumChloride", 16384, 8, 1,
        """
        7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2
        d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887
        """
      ),
    ] as [(String, String, UInt64, UInt64, UInt64, String)])
  func scryptVectors(
    _ passphrase: String, _ salt: String, n: UInt64, r: UInt64, p: UInt64, key: String
  ) throws {
    var output = [UInt8](repeating: 0, count: 64)
    var failure: PassphraseError?
    output.withMutableRawSpan { output in
      do throws(PassphraseError) {
        try scrypt(
          Array(passphrase.utf8).rawSpan, salt: Array(salt.utf8).rawSpan, n: n, r: r, p: p,
          into: &output)
      } catch {
        failure = error
      }
    }
    #expect(failure == nil && output == bytes(hex: key))
  }

  /// Python's hashlib.scrypt(passphrase, salt=…, n=1<<17, r=8, p=1, maxmem=1<<28, dklen=32).
  @Test func passphrase() throws {
    let key = try SecretKey(
      passphrase: Array("correct horse".utf8).rawSpan, salt: Array("rsock".utf8).rawSpan)
    #expect(
      key.octets
        == bytes(hex: "91b6d63d8f6cc23e29e432a792670a7941511604e3df2e38315079994e55f6c9"))
  }

  /// The sanitizers need more memory than that themselves.
  @Test(
    "Without the memory it is an error that the program survives",
    .enabled(if: allocations_are_counted()))
  func passphraseWithoutMemory() async {
    await #expect(processExitsWith: .success) {
      var limit = rlimit(rlim_cur: 64 << 20, rlim_max: 64 << 20)
      // New memory only: what is mapped already stays.
      try #require(unsafe setrlimit(__rlimit_resource_t(RLIMIT_DATA.rawValue), &limit) == 0)
      let passphrase = Array("correct horse".utf8)
      #expect(throws: PassphraseError.outOfMemory) {
        _ = try SecretKey(passphrase: passphrase.rawSpan, salt: passphrase.rawSpan)
      }
      let key = SecretKey { _ in }
      #expect(key.derivePair(mixing: RawSpan()) == key.derivePair(mixing: RawSpan()))
    }
  }

  /// The chain of HKDF outputs, computed with Python's hmac.
  @Test func keyStream() {
    var stream = KeyStream(seed: SecretKey(copying: [UInt8](repeating: 7, count: 32).rawSpan))
    for key in [
      "a76776b7fdb4a54e8916446714f431d6bdd7d523ac92197c51aceb74a78eb5be",
      "b8c09db85e5b8c80e06a8c2d04c8c8276a2dfb6cd252acb88727582f80052680",
    ] {
      #expect(stream.nextKey().octets == bytes(hex: key))
    }
    #expect(stream.nextNumber() == 0x1E4B_97E2_2D98_40BE)
  }

  @Test func keyStreamNeverRepeats() {
    var seen: Set<[UInt8]> = []
    for seed in 0..<4 as Range<UInt8> {
      var stream = KeyStream(seed: SecretKey(copying: [UInt8](repeating: seed, count: 32).rawSpan))
      for _ in 0..<500 { seen.insert(stream.nextKey().octets) }
    }
    #expect(seen.count == 2000)
  }
}
