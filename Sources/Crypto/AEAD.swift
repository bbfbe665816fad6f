// Sealing and opening in place: AES-256-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC 8439).
//
//   begin(number) ─► authenticate(…) ─► process(…) ─► process(…) ─► finish(…) ─► begin(number) …
//                    as often as needed  as often as needed, each in place
//
// A context is made once per key and direction; after that nothing allocates.

internal import CCrypto

/// An authenticated cipher with a 256-bit key, a 96-bit nonce and a 128-bit tag.
public enum CipherSuite: Sendable {
  /// AES-256-GCM.
  case aes256GCM
  /// ChaCha20-Poly1305.
  case chaCha20Poly1305

  /// Whether this processor has instructions for AES-GCM. Without them ChaCha20-Poly1305 is faster,
  /// and the time that AES takes may depend on the key.
  public static let hasFastAES = rs_has_aes_instructions()
}

/// One key in one direction. Whatever a caller does out of order, and a number used a second time
/// for sealing, is a programmer's error and traps: under one nonce two messages give away their
/// difference and the key of the tag.
@safe public struct AEAD: ~Copyable, @unchecked Sendable {
  /// What the key is for.
  public enum Direction: Sendable {
    /// Plain to sealed.
    case sealing
    /// Sealed to plain.
    case opening
  }

  /// The size of a tag, in bytes.
  public static let tagByteCount = 16

  private enum Phase {
    case idle
    case begun
    case processing
  }

  private let context: OpaquePointer
  private let suite: CipherSuite
  private let direction: Direction
  private var phase = Phase.idle
  private var nextNumber: UInt64 = 0

  /// A context with its key schedule. The key itself is not needed any longer.
  public init(_ suite: CipherSuite, key: SecretKey, for direction: Direction) {
    self.suite = suite
    self.direction = direction
    let cipher =
      switch suite {
      case .aes256GCM: unsafe Algorithms.shared.aes256GCM
      case .chaCha20Poly1305: unsafe Algorithms.shared.chaCha20Poly1305
      }
    let context = unsafe allocated(EVP_CIPHER_CTX_new())
    unsafe self.context = context
    unsafe key.bytes.withUnsafeBytes { key in
      let start = unsafe key.baseAddress?.assumingMemoryBound(to: UInt8.self)
      mustSucceed(
        unsafe EVP_CipherInit_ex2(
          context, cipher, start, nil, direction == .sealing ? 1 : 0, nil))
    }
  }

  // libcrypto overwrites the key schedule.
  deinit { unsafe EVP_CIPHER_CTX_free(context) }

  /// Starts message `number`, and forgets one that was not finished. Numbers are sealed in ascending
  /// order; they are opened in any, and again. The nonce is Noise's (revision 34, section 12): four
  /// zero bytes, then the number, big-endian for AES-GCM and little-endian for ChaCha20-Poly1305.
  public mutating func begin(_ number: UInt64) {
    if direction == .sealing {
      guard number >= nextNumber, number < .max else {
        fatalError("AEAD: number \(number) to seal where \(nextNumber) is the lowest")
      }
      nextNumber = number &+ 1
    }
    begin(nonce: nonce(of: number))
  }

  /// Starts a message under any nonce, as published vectors have them.
  mutating func begin(nonce: InlineArray<12, UInt8>) {
    unsafe nonce.span.withUnsafeBufferPointer { nonce in
      mustSucceed(unsafe EVP_CipherInit_ex2(context, nil, nil, nonce.baseAddress, -1, nil))
    }
    phase = .begun
  }

  private func nonce(of number: UInt64) -> InlineArray<12, UInt8> {
    var nonce = InlineArray<12, UInt8>(repeating: 0)
    var span = nonce.mutableSpan
    var bytes = unsafe span.mutableBytes
    let ordered =
      switch suite {
      case .aes256GCM: number.bigEndian
      case .chaCha20Poly1305: number.littleEndian
      }
    bytes.storeBytes(of: ordered, toByteOffset: 4, as: UInt64.self)
    return nonce
  }

  /// Takes bytes that are protected, but stay as they are; before the first call of `process`.
  public mutating func authenticate(_ bytes: RawSpan) {
    guard phase == .begun else { fatalError("AEAD: authenticate() has its place after begin()") }
    guard bytes.byteCount > 0 else { return }
    unsafe bytes.withUnsafeBytes { bytes in
      let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
      var count: CInt = 0
      mustSucceed(unsafe EVP_CipherUpdate(context, nil, &count, start, CInt(bytes.count)))
    }
  }

  /// Seals or opens bytes in place. What was opened must not be used before `finish` has found the
  /// tag right.
  public mutating func process(_ bytes: inout MutableRawSpan) {
    guard phase != .idle else { fatalError("AEAD: process() without begin()") }
    phase = .processing
    guard bytes.byteCount > 0 else { return }
    unsafe bytes.withUnsafeMutableBytes { bytes in
      let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
      var count: CInt = 0
      mustSucceed(unsafe EVP_CipherUpdate(context, start, &count, start, CInt(bytes.count)))
    }
  }

  /// Ends a message that was sealed and writes its tag, 16 bytes.
  public mutating func finish(tag: inout MutableRawSpan) {
    guard direction == .sealing, phase != .idle, tag.byteCount == Self.tagByteCount else {
      fatalError("AEAD: finish(tag:) writes the 16 bytes of a message that was sealed")
    }
    phase = .idle
    guard isFinal() else { fatalError("libcrypto refused to seal a message") }
    unsafe tag.withUnsafeMutableBytes { tag in
      mustSucceed(
        unsafe EVP_CIPHER_CTX_ctrl(
          context, EVP_CTRL_AEAD_GET_TAG, CInt(tag.count), tag.baseAddress))
    }
  }

  /// Ends a message that was opened: whether its tag, 16 bytes, is right. Where it is not, what
  /// `process` made of the bytes must not be used.
  public mutating func finish(expecting tag: RawSpan) -> Bool {
    guard direction == .opening, phase != .idle, tag.byteCount == Self.tagByteCount else {
      fatalError("AEAD: finish(expecting:) takes the 16 bytes of a message that was opened")
    }
    phase = .idle
    unsafe tag.withUnsafeBytes { tag in
      mustSucceed(
        unsafe EVP_CIPHER_CTX_ctrl(
          context, EVP_CTRL_AEAD_SET_TAG, CInt(tag.count),
          UnsafeMutableRawPointer(mutating: tag.baseAddress)))
    }
    return isFinal()
  }

  /// Has libcrypto compute the tag, and compare it where there is one to compare with.
  private func isFinal() -> Bool {
    var nothing: UInt8 = 0
    var count: CInt = 0
    return unsafe EVP_CipherFinal_ex(context, &nothing, &count) == 1
  }
}
