// What a Noise handshake has mixed together so far (revision 34, section 5.2).

internal import Crypto
internal import Wire

/// The chaining key, the hash of all that was said, and the key that protects the next payload.
///
/// Every payload of NNpsk0 has a key of its own, so the counter of the specification's CipherState is
/// always 0 and not kept.
struct NoiseSymmetricState {
  private let suite: CipherSuite
  private var chainingKey: SecretKey
  private var key: SecretKey?
  private(set) var hash: Digest

  /// InitializeSymmetric(), and the prologue mixed in.
  init(protocolName: String, suite: CipherSuite, prologue: RawSpan) {
    let name = Array(protocolName.utf8)
    self.suite = suite
    // A shorter name would be filled up with zeros: there is none.
    hash =
      name.count == Digest.byteCount
      ? Digest(copying: name.span.octets) : sha256(name.span.octets)
    chainingKey = SecretKey(copying: hash.bytes)
    mixHash(prologue)
  }

  /// The token e where there is a pre-shared key (section 9.2).
  mutating func mix(_ publicKey: PublicKey) {
    mixHash(publicKey.bytes)
    mixKey(publicKey.bytes)
  }

  mutating func mixKey(_ input: RawSpan) {
    (chainingKey, key) = chainingKey.derivePair(mixing: input)
  }

  mutating func mixKeyAndHash(_ input: SecretKey) {
    let (chainingKey, hashed, key) = chainingKey.deriveTriple(mixing: input.bytes)
    self.chainingKey = chainingKey
    mixHash(hashed.bytes)
    self.key = key
  }

  private mutating func mixHash(_ data: RawSpan) { hash = sha256(hash.bytes, data) }

  /// The payload, sealed, and its tag.
  mutating func encryptAndHash(_ payload: RawSpan) -> [UInt8] {
    var sealed = [UInt8](copying: payload) + [UInt8](repeating: 0, count: AEAD.tagByteCount)
    var span = sealed.mutableSpan
    var octets = span.mutableOctets
    var cipher = begin(.sealing)
    var text = octets._mutatingExtracting(droppingLast: AEAD.tagByteCount)
    cipher.process(&text)
    var tag = octets._mutatingExtracting(last: AEAD.tagByteCount)
    cipher.finish(tag: &tag)
    mixHash(sealed.span.octets)
    return sealed
  }

  /// The payload that was sealed; nil where it is not authentic.
  mutating func decryptAndHash(_ sealed: RawSpan) -> [UInt8]? {
    var payload = [UInt8](copying: sealed.extracting(droppingLast: AEAD.tagByteCount))
    var span = payload.mutableSpan
    var octets = span.mutableOctets
    var cipher = begin(.opening)
    cipher.process(&octets)
    guard cipher.finish(expecting: sealed.extracting(last: AEAD.tagByteCount)) else { return nil }
    mixHash(sealed)
    return payload
  }

  private func begin(_ direction: AEAD.Direction) -> AEAD {
    guard let key else { fatalError("no payload comes before the pre-shared key") }
    var cipher = AEAD(suite, key: key, for: direction)
    cipher.begin(0)
    cipher.authenticate(hash.bytes)
    return cipher
  }

  /// The keys of what follows: from the initiator to the responder, and back.
  func split() -> (SecretKey, SecretKey) { chainingKey.derivePair(mixing: RawSpan()) }
}

extension [UInt8] {
  /// The bytes of a span.
  init(copying bytes: RawSpan) {
    self = bytes.byteOffsets.map { bytes.byte(at: $0) }
  }
}
