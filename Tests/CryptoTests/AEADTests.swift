import Samples
import Testing

@testable import Crypto

/// A published message: what it is made of, and what it becomes.
private struct Vector: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let suite: CipherSuite
  let key: SecretKey
  let nonce: [UInt8]
  let associated: [UInt8]
  let plain: [UInt8]
  let sealed: [UInt8]
  let tag: [UInt8]

  init(
    _ name: String, _ suite: CipherSuite, key: String, nonce: String, associated: String = "",
    plain: String, sealed: String, tag: String
  ) {
    testDescription = name
    self.suite = suite
    self.key = SecretKey(copying: bytes(hex: key).rawSpan)
    self.nonce = bytes(hex: nonce)
    self.associated = bytes(hex: associated)
    self.plain = bytes(hex: plain)
    self.sealed = bytes(hex: sealed)
    self.tag = bytes(hex: tag)
  }

  var start: InlineArray<12, UInt8> { InlineArray { nonce[$0] } }
}

private let vectors = [
  // McGrew and Viega, "The Galois/Counter Mode of Operation", as submitted to NIST, appendix B.
  Vector(
    "GCM test case 13", .aes256GCM, key: zeros(32), nonce: zeros(12), plain: "", sealed: "",
    tag: "530f8afbc74536b9a963b4f1c4cb738b"),
  Vector(
    "GCM test case 14", .aes256GCM, key: zeros(32), nonce: zeros(12), plain: zeros(16),
    sealed: "cea7403d4d606b6e074ec5d3baf39d18", tag: "d0d1c8a799996bf0265b98b5d48ab919"),
  Vector(
    "GCM test case 15", .aes256GCM,
    key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
    nonce: "cafebabefacedbaddecaf888",
    plain: """
      d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
      1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255
      """,
    sealed: """
      522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
      8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad
      """,
    tag: "b094dac5d93471bdec1a502270e3cc6c"),
  Vector(
    "GCM test case 16", .aes256GCM,
    key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
    nonce: "cafebabefacedbaddecaf888", associated: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    plain: """
      d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
      1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39
      """,
    sealed: """
      522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
      8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662
      """,
    tag: "76fc6ece0f4e1768cddf8853bb2d551b"),
  Vector(
    "RFC 8439, section 2.8.2", .chaCha20Poly1305,
    key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
    nonce: "070000004041424344454647", associated: "50515253c0c1c2c3c4c5c6c7",
    plain: """
      4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920
      636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c207375
      6e73637265656e20776f756c642062652069742e
      """,
    sealed: """
      d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da9272
      8b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831
      d7bc3ff4def08e4b7a9de576d26586cec64b6116
      """,
    tag: "1ae10b594f09e26a7e902ecbd0600691"),
  rfc8439A5,
]

/// Its nonce is of Noise's form.
private let rfc8439A5 = Vector(
  "RFC 8439, appendix A.5", .chaCha20Poly1305,
  key: "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
  nonce: "000000000102030405060708", associated: "f33388860000000000004e91",
  plain: """
    496e7465726e65742d4472616674732061726520647261667420646f63756d656e74732076616c696420666f722061
    206d6178696d756d206f6620736978206d6f6e74687320616e64206d617920626520757064617465642c207265706c
    616365642c206f72206f62736f6c65746564206279206f7468657220646f63756d656e747320617420616e79207469
    6d652e20497420697320696e617070726f70726961746520746f2075736520496e7465726e65742d44726166747320
    6173207265666572656e6365206d6174657269616c206f7220746f2063697465207468656d206f74686572207468616e
    206173202fe2809c776f726b20696e2070726f67726573732e2fe2809d
    """,
  sealed: """
    64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0
    bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855
    9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e9
    9040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a
    0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130
    305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709b
    """,
  tag: "eead9d67890cbb22392336fea1851f38")

private func zeros(_ count: Int) -> String { String(repeating: "00", count: count) }

private let suites: [CipherSuite] = [.aes256GCM, .chaCha20Poly1305]

extension AEAD {
  /// Processes bytes in place, cut at a position.
  fileprivate mutating func process(_ bytes: inout [UInt8], cutAt cut: Int) {
    for part in [0..<cut, cut..<bytes.count] {
      bytes.withMutableRawSpan { span in
        var part = span._mutatingExtracting(part)
        process(&part)
      }
    }
  }

  fileprivate mutating func tag() -> [UInt8] {
    var tag = [UInt8](repeating: 0, count: AEAD.tagByteCount)
    tag.withMutableRawSpan { finish(tag: &$0) }
    return tag
  }

  fileprivate mutating func seal(
    _ plain: [UInt8], number: UInt64, associated: [UInt8] = []
  ) -> (bytes: [UInt8], tag: [UInt8]) {
    begin(number)
    authenticate(associated.rawSpan)
    var bytes = plain
    process(&bytes, cutAt: 0)
    return (bytes, tag())
  }

  /// The plain bytes where the tag is right.
  fileprivate mutating func open(
    _ sealed: [UInt8], tag: [UInt8], number: UInt64, associated: [UInt8] = []
  ) -> [UInt8]? {
    begin(number)
    authenticate(associated.rawSpan)
    var bytes = sealed
    process(&bytes, cutAt: 0)
    return finish(expecting: tag.rawSpan) ? bytes : nil
  }
}

@Suite struct AEADTests {
  private static let key = SecretKey(copying: [UInt8](0..<32).rawSpan)

  @Test("Published vectors, cut at every position", arguments: vectors)
  private func publishedVectors(_ vector: Vector) {
    var sealing = AEAD(vector.suite, key: vector.key, for: .sealing)
    var opening = AEAD(vector.suite, key: vector.key, for: .opening)
    for cut in 0...vector.plain.count {
      var bytes = vector.plain
      sealing.begin(nonce: vector.start)
      sealing.authenticate(vector.associated.rawSpan)
      sealing.process(&bytes, cutAt: cut)
      let tag = sealing.tag()
      #expect(bytes == vector.sealed && tag == vector.tag, "cut at \(cut)")
      opening.begin(nonce: vector.start)
      opening.authenticate(vector.associated.rawSpan)
      opening.process(&bytes, cutAt: cut)
      let isAuthentic = opening.finish(expecting: vector.tag.rawSpan)
      #expect(isAuthentic && bytes == vector.plain, "cut at \(cut)")
    }
  }

  @Test("The number is the nonce as Noise has it")
  func nonceIsNoises() {
    var chaCha = AEAD(.chaCha20Poly1305, key: rfc8439A5.key, for: .sealing)
    let sealed = chaCha.seal(
      rfc8439A5.plain, number: 0x0807_0605_0403_0201, associated: rfc8439A5.associated)
    #expect(sealed == (rfc8439A5.sealed, rfc8439A5.tag))

    var aes = AEAD(.aes256GCM, key: Self.key, for: .sealing)
    let bigEndian = aes.seal([1, 2, 3], number: 0x0102_0304_0506_0708)
    var bytes: [UInt8] = [1, 2, 3]
    aes.begin(nonce: [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
    aes.process(&bytes, cutAt: 1)
    let tag = aes.tag()
    #expect(bigEndian == (bytes, tag))
  }

  /// The shape of a frame: associated data in two parts, three bytes here, the rest elsewhere.
  @Test("A frame of every size comes back, and its parts do not matter", arguments: suites)
  func everySize(_ suite: CipherSuite) {
    var random = SplitMix64(seed: 11)
    var sealing = AEAD(suite, key: Self.key, for: .sealing)
    var parts = AEAD(suite, key: Self.key, for: .sealing)
    var opening = AEAD(suite, key: Self.key, for: .opening)
    for size in Array(0...520) + [1403, 1455, 16_384] {
      let plain = random.bytes(size)
      let associated = random.bytes(size % 40)
      let whole = sealing.seal(plain, number: UInt64(size), associated: associated)
      #expect(size < 8 || whole.bytes != plain)
      let opened = opening.open(
        whole.bytes, tag: whole.tag, number: UInt64(size), associated: associated)
      #expect(opened == plain)

      var bytes = plain
      parts.begin(UInt64(size))
      parts.authenticate(Array(associated[..<(associated.count / 2)]).rawSpan)
      parts.authenticate(Array(associated[(associated.count / 2)...]).rawSpan)
      parts.process(&bytes, cutAt: min(3, size))
      let tag = parts.tag()
      #expect(bytes == whole.bytes && tag == whole.tag, "\(size) bytes")
    }
  }

  @Test("One wrong bit anywhere is noticed, and the next message opens", arguments: suites)
  func tampering(_ suite: CipherSuite) {
    let plain = [UInt8](0..<67)
    let associated: [UInt8] = [23, 3, 3, 0, 99]
    var sealing = AEAD(suite, key: Self.key, for: .sealing)
    let sealed = sealing.seal(plain, number: 7, associated: associated)
    var opening = AEAD(suite, key: Self.key, for: .opening)
    func open(_ all: [UInt8], number: UInt64 = 7) -> [UInt8]? {
      opening.open(
        Array(all[5..<72]), tag: Array(all[72...]), number: number, associated: Array(all[..<5]))
    }
    let all = associated + sealed.bytes + sealed.tag
    for bit in 0..<all.count * 8 {
      var wrong = all
      wrong[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(open(wrong) == nil, "bit \(bit)")
      #expect(open(all) == plain)
    }
    #expect(open(all, number: 8) == nil)
    let shorter = opening.open(
      sealed.bytes.dropLast(), tag: sealed.tag, number: 7, associated: associated)
    #expect(shorter == nil)

    var otherKey = AEAD(suite, key: SecretKey { _ in }, for: .opening)
    let opened = otherKey.open(sealed.bytes, tag: sealed.tag, number: 7, associated: associated)
    #expect(opened == nil)
  }

  @Test("A message that was begun and left is forgotten", arguments: suites)
  func abandonedMessage(_ suite: CipherSuite) {
    let plain = [UInt8](repeating: 9, count: 100)
    var fresh = AEAD(suite, key: Self.key, for: .sealing)
    let expected = fresh.seal(plain, number: 3)
    var sealing = AEAD(suite, key: Self.key, for: .sealing)
    sealing.begin(1)
    sealing.authenticate(plain.rawSpan)
    sealing.begin(2)
    var lost = plain
    sealing.process(&lost, cutAt: 50)
    let sealed = sealing.seal(plain, number: 3)
    #expect(sealed == expected)
  }

  @Test("Messages open in any order, and again")
  func anyOrder() {
    var sealing = AEAD(.aes256GCM, key: Self.key, for: .sealing)
    let sealed = (0..<8).map { sealing.seal([UInt8($0)], number: UInt64($0) << 40) }
    var opening = AEAD(.aes256GCM, key: Self.key, for: .opening)
    for index in [7, 0, 3, 3, 1, 7] {
      let message = sealed[index]
      let opened = opening.open(message.bytes, tag: message.tag, number: UInt64(index) << 40)
      #expect(opened == [UInt8(index)])
    }
  }

  @Test("No number is sealed twice")
  func numbersAscend() async throws {
    let repeated = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      var sealing = AEAD(.aes256GCM, key: SecretKey { _ in }, for: .sealing)
      sealing.begin(5)
      sealing.begin(5)
    }
    try expectLastWords("number 5 to seal where 6 is the lowest", of: repeated)
    let lower = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      var sealing = AEAD(.chaCha20Poly1305, key: SecretKey { _ in }, for: .sealing)
      sealing.begin(5)
      sealing.begin(4)
    }
    try expectLastWords("number 4 to seal where 6 is the lowest", of: lower)
  }

  @Test("Calls out of order trap")
  func calls() async throws {
    let finished = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      var sealing = AEAD(.chaCha20Poly1305, key: SecretKey { _ in }, for: .sealing)
      _ = sealing.seal([1], number: 0)
      var more: [UInt8] = [2]
      sealing.process(&more, cutAt: 0)
    }
    try expectLastWords("process() without begin()", of: finished)
    let late = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      var sealing = AEAD(.aes256GCM, key: SecretKey { _ in }, for: .sealing)
      sealing.begin(0)
      var bytes: [UInt8] = [1]
      sealing.process(&bytes, cutAt: 0)
      sealing.authenticate(bytes.rawSpan)
    }
    try expectLastWords("authenticate() has its place after begin()", of: late)
    let direction = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      var opening = AEAD(.aes256GCM, key: SecretKey { _ in }, for: .opening)
      opening.begin(0)
      _ = opening.tag()
    }
    try expectLastWords("finish(tag:) writes", of: direction)
    let short = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      var opening = AEAD(.aes256GCM, key: SecretKey { _ in }, for: .opening)
      opening.begin(0)
      _ = opening.finish(expecting: [UInt8](repeating: 0, count: 12).rawSpan)
    }
    try expectLastWords("finish(expecting:) takes", of: short)
  }

  private func expectLastWords(_ words: String, of result: ExitTest.Result?) throws {
    let output = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(output.contains(words), "\(output)")
  }
}
