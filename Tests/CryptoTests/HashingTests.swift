import Samples
import Testing

@testable import Crypto

@Suite struct HashingTests {
  /// FIPS 180-4, examples.
  @Test func sha256Vectors() {
    for (message, digest) in [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
    ] {
      #expect(sha256(Array(message.utf8).rawSpan).bytes.octets == bytes(hex: digest))
    }
  }

  /// RFC 4231, test cases 1 to 7.
  @Test func hmacVectors() {
    let long = [UInt8](repeating: 0xAA, count: 131)
    let secondLongMessage = """
      This is a test using a larger than block-size key and a larger than block-size data. The key \
      needs to be hashed before being used by the HMAC algorithm.
      """
    let vectors: [(key: [UInt8], message: [UInt8], code: String)] = [
      (
        [UInt8](repeating: 0x0B, count: 20), Array("Hi There".utf8),
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
      ),
      (
        Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
      ),
      (
        [UInt8](repeating: 0xAA, count: 20), [UInt8](repeating: 0xDD, count: 50),
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
      ),
      (
        [UInt8](1...25), [UInt8](repeating: 0xCD, count: 50),
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
      ),
      (
        [UInt8](repeating: 0x0C, count: 20), Array("Test With Truncation".utf8),
        "a3b6167473100ee06e0c796c2955552b"
      ),
      (
        long, Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
      ),
      (
        long, Array(secondLongMessage.utf8),
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
      ),
    ]
    var authentication = MessageAuthentication()
    for vector in vectors {
      let expected = bytes(hex: vector.code)
      authentication.begin(key: vector.key.rawSpan)
      authentication.update(vector.message.rawSpan)
      let code = SecretKey { authentication.finish(into: &$0) }
      #expect(Array(code.octets[..<expected.count]) == expected)
      guard vector.key.count <= 32 else { continue }
      // Shorter keys are filled up with zeros.
      let key = SecretKey(
        copying: (vector.key + [UInt8](repeating: 0, count: 32 - vector.key.count)).rawSpan)
      #expect(hmacSHA256(vector.message.rawSpan, key: key).bytes.octets == code.octets)
    }
  }

  @Test("Where the parts are cut does not matter")
  func parts() {
    var random = SplitMix64(seed: 3)
    let message = random.bytes(200)
    let key = SecretKey(copying: random.bytes(32).rawSpan)
    let digest = sha256(message.rawSpan)
    let code = hmacSHA256(message.rawSpan, key: key)
    for _ in 0..<200 {
      let cuts = [Int.random(in: 0...200, using: &random), .random(in: 0...200, using: &random)]
        .sorted()
      let first = Array(message[..<cuts[0]])
      let second = Array(message[cuts[0]..<cuts[1]])
      let third = Array(message[cuts[1]...])
      #expect(sha256(first.rawSpan, second.rawSpan, third.rawSpan) == digest)
      #expect(hmacSHA256(first.rawSpan, second.rawSpan, third.rawSpan, key: key) == code)
    }
  }

  @Test func digestsAreComparedByTheirBytes() {
    let octets = [UInt8](100..<132)
    let digest = Digest(copying: octets.rawSpan)
    #expect(digest.bytes.octets == octets && digest == Digest(copying: octets.rawSpan))
    for index in octets.indices {
      var other = octets
      other[index] ^= 0x80
      #expect(digest != Digest(copying: other.rawSpan))
    }
  }
}
