import Crypto
import Samples
import Testing

@Suite struct X25519Tests {
  private static func secret(_ hex: String) -> SecretKey {
    SecretKey(copying: bytes(hex: hex).rawSpan)
  }

  private static func point(_ hex: String) -> PublicKey {
    PublicKey(copying: bytes(hex: hex).rawSpan)
  }

  /// RFC 7748, section 5.2.
  @Test(arguments: [
    (
      "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
      "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    ),
    (
      "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
      "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
      "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"
    ),
  ])
  func vectors(_ secret: String, _ point: String, _ result: String) throws {
    let shared = KeyPair(Self.secret(secret)).sharedSecret(with: Self.point(point))
    #expect(try #require(shared).octets == bytes(hex: result))
  }

  /// RFC 7748, section 5.2: each result is the next scalar, each scalar the next point.
  @Test func thousandTimes() throws {
    var scalar = bytes(hex: "09" + String(repeating: "00", count: 31))
    var point = scalar
    for count in 1...1000 {
      let pair = KeyPair(SecretKey(copying: scalar.rawSpan))
      let result = pair.sharedSecret(with: PublicKey(copying: point.rawSpan))
      point = scalar
      scalar = try #require(result).octets
      if count == 1 {
        let first = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
        #expect(scalar == bytes(hex: first))
      }
    }
    let last = "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"
    #expect(scalar == bytes(hex: last))
  }

  /// RFC 7748, section 6.1.
  @Test func bothSidesAgree() {
    let alice = KeyPair(
      Self.secret("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
    let bob = KeyPair(
      Self.secret("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    let alicePublic = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    let bobPublic = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    #expect(alice.publicKey == Self.point(alicePublic))
    #expect(bob.publicKey == Self.point(bobPublic))
    #expect(alice.sharedSecret(with: bob.publicKey)?.octets == bytes(hex: shared))
    #expect(bob.sharedSecret(with: alice.publicKey)?.octets == bytes(hex: shared))
  }

  /// The points of small order, and two that are the same modulo the prime.
  @Test(arguments: [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ])
  func pointsThatGiveZero(_ point: String) {
    let pair = KeyPair(SecretKey(copying: [UInt8](repeating: 0x5A, count: 32).rawSpan))
    #expect(pair.sharedSecret(with: Self.point(point)) == nil)
    #expect(pair.sharedSecret(with: pair.publicKey) != nil, "the next one is not affected")
  }
}
