// The key exchange of a channel: Noise_NNpsk0_25519_AESGCM_SHA256 and
// Noise_NNpsk0_25519_ChaChaPoly_SHA256 (noiseprotocol.org, revision 34).
//
//   initiator                                              responder
//     psk, e     ─── public key 32 | payload | tag 16 ──►
//                ◄── public key 32 | payload | tag 16 ───   e, ee
//     split()                                               split()

internal import Crypto
internal import Wire

/// One handshake as one side sees it. Every secret on the way lies in a `SecretKey`, or within
/// libcrypto, and is overwritten once it was used.
struct NoiseHandshake: ~Copyable {
  /// Who speaks first: the initiator, which is the client.
  enum Role: Sendable {
    case initiator
    case responder
  }

  private enum Step {
    case firstMessage
    case secondMessage
    case complete
    case failed
  }

  /// How much longer a message is than its payload: a public key and a tag.
  static let overhead = PublicKey.byteCount + AEAD.tagByteCount
  /// The size of the longest message (section 3).
  static let messageLimit = 65_535

  private let role: Role
  private var step = Step.firstMessage
  private var symmetric: NoiseSymmetricState
  private var ephemeral: KeyPair?
  private var remoteEphemeral: PublicKey?

  /// A handshake of which nothing was written or read. Both sides must have the same suite, prologue
  /// and pre-shared key.
  init(_ role: Role, suite: CipherSuite, prologue: RawSpan, preSharedKey: SecretKey) {
    self.role = role
    symmetric = NoiseSymmetricState(
      protocolName: Self.protocolName(of: suite), suite: suite, prologue: prologue)
    // The token psk, the first of the first message, depends on nothing in that message.
    symmetric.mixKeyAndHash(preSharedKey)
  }

  private static func protocolName(of suite: CipherSuite) -> String {
    switch suite {
    case .aes256GCM: "Noise_NNpsk0_25519_AESGCM_SHA256"
    case .chaCha20Poly1305: "Noise_NNpsk0_25519_ChaChaPoly_SHA256"
    }
  }

  /// Writes this side's message, `overhead` longer than the payload. The ephemeral key must be random
  /// and used for nothing else. Nil where the other side's public key makes no secret: then the
  /// handshake has failed.
  mutating func writeMessage(ephemeral secret: SecretKey, payload: RawSpan) -> [UInt8]? {
    guard step == (role == .initiator ? .firstMessage : .secondMessage),
      payload.byteCount <= Self.messageLimit - Self.overhead
    else { fatalError("it is not this side's turn, or the payload is too long") }
    let own = KeyPair(secret)
    let publicKey = own.publicKey
    ephemeral = consume own
    symmetric.mix(publicKey)
    if role == .responder, !mixEphemerals() { return fail() }
    let sealed = symmetric.encryptAndHash(payload)
    advance()
    return [UInt8](copying: publicKey.bytes) + sealed
  }

  /// Reads the other side's message and gives its payload. Nil where it is not authentic, or not due:
  /// then the handshake has failed, and no later message is read.
  mutating func readMessage(_ message: RawSpan) -> [UInt8]? {
    guard step == (role == .initiator ? .secondMessage : .firstMessage),
      (Self.overhead...Self.messageLimit).contains(message.byteCount)
    else { return fail() }
    let publicKey = PublicKey(copying: message.extracting(first: PublicKey.byteCount))
    remoteEphemeral = publicKey
    symmetric.mix(publicKey)
    if role == .initiator, !mixEphemerals() { return fail() }
    let sealed = message.extracting(droppingFirst: PublicKey.byteCount)
    guard let payload = symmetric.decryptAndHash(sealed) else { return fail() }
    advance()
    return payload
  }

  /// The keys of a complete handshake, one for each direction and for any cipher.
  consuming func split() -> (clientToServer: SecretKey, serverToClient: SecretKey) {
    guard step == .complete else { fatalError("the handshake is not complete") }
    return symmetric.split()
  }

  /// What names a complete handshake: both sides have the same, and no other handshake has it
  /// (section 11.2).
  var handshakeHash: Digest {
    guard step == .complete else { fatalError("the handshake is not complete") }
    return symmetric.hash
  }

  /// The token ee. False where the other side's public key makes no secret.
  private mutating func mixEphemerals() -> Bool {
    guard let remoteEphemeral, let secret = ephemeral?.sharedSecret(with: remoteEphemeral)
    else { return false }
    symmetric.mixKey(secret.bytes)
    ephemeral = nil
    return true
  }

  private mutating func advance() {
    step = step == .firstMessage ? .secondMessage : .complete
  }

  private mutating func fail() -> [UInt8]? {
    step = .failed
    ephemeral = nil
    return nil
  }
}
