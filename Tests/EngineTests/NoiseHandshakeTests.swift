import Crypto
import Samples
import Testing
import Wire

@testable import Engine

@Suite struct NoiseHandshakeTests {
  private static let suites: [CipherSuite] = [.aes256GCM, .chaCha20Poly1305]

  private static func key(_ hex: String) -> SecretKey {
    SecretKey(copying: bytes(hex: hex).rawSpan)
  }

  /// One side of the published handshakes, or one that differs in something.
  private static func side(
    _ role: NoiseHandshake.Role, _ suite: CipherSuite,
    prologue: [UInt8] = NoiseVector.prologue, preSharedKey: String = NoiseVector.preSharedKey
  ) -> NoiseHandshake {
    NoiseHandshake(
      role, suite: suite, prologue: prologue.rawSpan, preSharedKey: key(preSharedKey))
  }

  private static func firstMessage(
    from initiator: inout NoiseHandshake, payload: [UInt8] = [1, 2, 3]
  ) throws -> [UInt8] {
    let message = initiator.writeMessage(
      ephemeral: key(NoiseVector.initiatorEphemeral), payload: payload.rawSpan)
    return try #require(message)
  }

  private static func secondMessage(
    from responder: inout NoiseHandshake, payload: [UInt8] = [4, 5]
  ) throws -> [UInt8] {
    let message = responder.writeMessage(
      ephemeral: key(NoiseVector.responderEphemeral), payload: payload.rawSpan)
    return try #require(message)
  }

  private func expectRefused(
    _ message: [UInt8], by side: inout NoiseHandshake, _ comment: Comment? = nil,
    _ location: SourceLocation = #_sourceLocation
  ) {
    let payload = side.readMessage(message.rawSpan)
    #expect(payload == nil, comment, sourceLocation: location)
  }

  private func expectRead(
    _ message: [UInt8], by side: inout NoiseHandshake,
    _ location: SourceLocation = #_sourceLocation
  ) {
    let payload = side.readMessage(message.rawSpan)
    #expect(payload != nil, sourceLocation: location)
  }

  @Test("Every published message, both ways, and the handshake hash", arguments: NoiseVector.all)
  func publishedVectors(_ vector: NoiseVector) throws {
    var initiator = Self.side(.initiator, vector.suite)
    var responder = Self.side(.responder, vector.suite)
    let payloads = vector.messages.map { bytes(hex: $0.payload) }
    let ciphertexts = vector.messages.map { bytes(hex: $0.ciphertext) }

    let first = try Self.firstMessage(from: &initiator, payload: payloads[0])
    #expect(first == ciphertexts[0])
    let firstPayload = responder.readMessage(first.rawSpan)
    #expect(firstPayload == payloads[0])
    let second = try Self.secondMessage(from: &responder, payload: payloads[1])
    #expect(second == ciphertexts[1])
    let secondPayload = initiator.readMessage(second.rawSpan)
    #expect(secondPayload == payloads[1])

    let hash = bytes(hex: vector.handshakeHash)
    let hashes = (initiator.handshakeHash, responder.handshakeHash)
    #expect([UInt8](copying: hashes.0.bytes) == hash && hashes.0 == hashes.1)

    let (keys, peersKeys) = (initiator.split(), responder.split())
    #expect(keys.clientToServer == peersKeys.clientToServer)
    #expect(keys.serverToClient == peersKeys.serverToClient)
    var client = AEAD(vector.suite, key: keys.clientToServer, for: .sealing)
    var server = AEAD(vector.suite, key: keys.serverToClient, for: .sealing)
    for index in 2..<vector.messages.count {
      let number = UInt64(index / 2 - 1)
      let sealed =
        index % 2 == 0
        ? client.seal(payloads[index], number: number)
        : server.seal(payloads[index], number: number)
      #expect(sealed == ciphertexts[index], "message \(index)")
    }
  }

  @Test("One wrong bit anywhere in either message ends the handshake", arguments: suites)
  func tampering(_ suite: CipherSuite) throws {
    var initiator = Self.side(.initiator, suite)
    let first = try Self.firstMessage(from: &initiator)
    for bit in 0..<first.count * 8 {
      var responder = Self.side(.responder, suite)
      var wrong = first
      wrong[bit / 8] ^= 1 << UInt8(bit % 8)
      expectRefused(wrong, by: &responder, "bit \(bit) of the first message")
      expectRefused(first, by: &responder, "a failed handshake does not go on")
    }

    for bit in 0..<(NoiseHandshake.overhead + 2) * 8 {
      var initiator = Self.side(.initiator, suite)
      var responder = Self.side(.responder, suite)
      let first = try Self.firstMessage(from: &initiator)
      expectRead(first, by: &responder)
      let second = try Self.secondMessage(from: &responder)
      var wrong = second
      wrong[bit / 8] ^= 1 << UInt8(bit % 8)
      expectRefused(wrong, by: &initiator, "bit \(bit) of the second message")
      expectRefused(second, by: &initiator, "a failed handshake does not go on")
    }
  }

  @Test("Messages of every other length are refused", arguments: suites)
  func lengths(_ suite: CipherSuite) throws {
    var initiator = Self.side(.initiator, suite)
    let first = try Self.firstMessage(from: &initiator)
    for length in 0..<first.count {
      var responder = Self.side(.responder, suite)
      expectRefused(Array(first[..<length]), by: &responder, "\(length) bytes")
    }
    for extra in [1, 16, 70_000] {
      var responder = Self.side(.responder, suite)
      expectRefused(first + [UInt8](repeating: 0, count: extra), by: &responder)
    }
  }

  @Test("Payloads from none to the longest", arguments: suites)
  func payloads(_ suite: CipherSuite) throws {
    for size in [0, 1, 28, 1400, NoiseHandshake.messageLimit - NoiseHandshake.overhead] {
      let payload = [UInt8](repeating: 0xA5, count: size)
      var initiator = Self.side(.initiator, suite)
      var responder = Self.side(.responder, suite)
      let first = try Self.firstMessage(from: &initiator, payload: payload)
      #expect(first.count == size + NoiseHandshake.overhead)
      let firstPayload = responder.readMessage(first.rawSpan)
      let second = try Self.secondMessage(from: &responder, payload: payload)
      let secondPayload = initiator.readMessage(second.rawSpan)
      #expect(firstPayload == payload && secondPayload == payload)
    }
  }

  @Test("Another key, prologue or suite makes the first message unreadable", arguments: suites)
  func mismatches(_ suite: CipherSuite) throws {
    var initiator = Self.side(.initiator, suite)
    let first = try Self.firstMessage(from: &initiator)
    var otherKey = NoiseVector.preSharedKey
    otherKey.replaceSubrange(otherKey.startIndex...otherKey.startIndex, with: "4")
    var responder = Self.side(.responder, suite, preSharedKey: otherKey)
    expectRefused(first, by: &responder, "key")
    responder = Self.side(.responder, suite, prologue: NoiseVector.prologue + [0])
    expectRefused(first, by: &responder, "longer prologue")
    responder = Self.side(.responder, suite, prologue: [])
    expectRefused(first, by: &responder, "no prologue")
    responder = Self.side(.responder, suite == .aes256GCM ? .chaCha20Poly1305 : .aes256GCM)
    expectRefused(first, by: &responder, "suite")
    responder = Self.side(.responder, suite)
    expectRead(first, by: &responder)
  }

  @Test("Who answers without the key is not believed, and nothing can be reflected")
  func impostors() throws {
    var initiator = Self.side(.initiator, .aes256GCM)
    let first = try Self.firstMessage(from: &initiator)
    expectRefused(first, by: &initiator, "its own message")

    initiator = Self.side(.initiator, .aes256GCM)
    let other = String(repeating: "ab", count: 32)
    var impostor = Self.side(.responder, .aes256GCM, preSharedKey: other)
    var accomplice = Self.side(.initiator, .aes256GCM, preSharedKey: other)
    expectRead(try Self.firstMessage(from: &accomplice), by: &impostor)
    _ = try Self.firstMessage(from: &initiator)
    expectRefused(try Self.secondMessage(from: &impostor), by: &initiator)
  }

  @Test("The answer to another first message is refused")
  func answersBelongToOneMessage() throws {
    var initiator = Self.side(.initiator, .chaCha20Poly1305)
    var responder = Self.side(.responder, .chaCha20Poly1305)
    _ = try Self.firstMessage(from: &initiator, payload: [1])
    var sameKeys = Self.side(.initiator, .chaCha20Poly1305)
    expectRead(try Self.firstMessage(from: &sameKeys, payload: [2]), by: &responder)
    expectRefused(try Self.secondMessage(from: &responder), by: &initiator)
  }

  /// Only who has the key can send such a message.
  @Test("A public key that makes no secret fails the handshake on both sides")
  func pointsOfSmallOrder() throws {
    let zero = PublicKey(copying: [UInt8](repeating: 0, count: 32).rawSpan)
    let prologue = NoiseVector.prologue
    var sender = NoiseSymmetricState(
      protocolName: "Noise_NNpsk0_25519_AESGCM_SHA256", suite: .aes256GCM,
      prologue: prologue.rawSpan)
    sender.mixKeyAndHash(Self.key(NoiseVector.preSharedKey))
    sender.mix(zero)
    let first = [UInt8](copying: zero.bytes) + sender.encryptAndHash([7].rawSpan)
    var responder = Self.side(.responder, .aes256GCM)
    let payload = responder.readMessage(first.rawSpan)
    #expect(payload == [7])
    let second = responder.writeMessage(
      ephemeral: Self.key(NoiseVector.responderEphemeral), payload: RawSpan())
    #expect(second == nil)

    var initiator = Self.side(.initiator, .aes256GCM)
    _ = try Self.firstMessage(from: &initiator)
    expectRefused([UInt8](copying: zero.bytes) + [UInt8](repeating: 0, count: 16), by: &initiator)
  }

  @Test("A handshake that is not complete has no keys")
  func noKeysBeforeTheEnd() async {
    await #expect(processExitsWith: .success) {
      var initiator = Self.side(.initiator, .aes256GCM)
      var responder = Self.side(.responder, .aes256GCM)
      let first = try Self.firstMessage(from: &initiator)
      _ = responder.readMessage(first.rawSpan)
      let second = try Self.secondMessage(from: &responder)
      _ = initiator.readMessage(second.rawSpan)
      _ = initiator.split()
    }
    await #expect(processExitsWith: .failure) {
      var initiator = Self.side(.initiator, .aes256GCM)
      _ = try Self.firstMessage(from: &initiator)
      _ = initiator.split()
    }
  }

  @Test("Fresh ephemeral keys make fresh keys")
  func keysDiffer() throws {
    var seen: Set<[UInt8]> = []
    var stream = KeyStream(seed: Self.key(NoiseVector.preSharedKey))
    for _ in 0..<20 {
      var initiator = Self.side(.initiator, .aes256GCM)
      var responder = Self.side(.responder, .aes256GCM)
      let first = initiator.writeMessage(ephemeral: stream.nextKey(), payload: RawSpan())
      expectRead(try #require(first), by: &responder)
      let second = responder.writeMessage(ephemeral: stream.nextKey(), payload: RawSpan())
      expectRead(try #require(second), by: &initiator)
      let keys = initiator.split()
      seen.insert([UInt8](copying: keys.clientToServer.bytes))
      seen.insert([UInt8](copying: keys.serverToClient.bytes))
    }
    #expect(seen.count == 40)
  }
}

extension AEAD {
  fileprivate mutating func seal(_ plain: [UInt8], number: UInt64) -> [UInt8] {
    var bytes = plain
    var tag = [UInt8](repeating: 0, count: AEAD.tagByteCount)
    begin(number)
    bytes.withMutableRawSpan { process(&$0) }
    tag.withMutableRawSpan { finish(tag: &$0) }
    return bytes + tag
  }
}
