// Keys from keys (HKDF), from passphrases (scrypt), and one after the other from a seed.

internal import CCrypto

extension SecretKey {
  /// Two keys from this one and `input`: HKDF of RFC 5869 with this key as the salt and no info, as
  /// Noise has it (revision 34, section 4.3), where this key is called the chaining key.
  public func derivePair(mixing input: RawSpan) -> (SecretKey, SecretKey) {
    var expansion = Expansion(chainingKey: self, input: input)
    let first = expansion.next()
    return (first, expansion.next())
  }

  /// Three keys from this one and `input`; the first two are those of `derivePair`.
  public func deriveTriple(mixing input: RawSpan) -> (SecretKey, SecretKey, SecretKey) {
    var expansion = Expansion(chainingKey: self, input: input)
    let first = expansion.next()
    let second = expansion.next()
    return (first, second, expansion.next())
  }
}

/// HKDF: the extraction, then one output after the other.
private struct Expansion: ~Copyable {
  private var code: MessageAuthentication
  private let extracted: SecretKey
  private var previous: SecretKey?
  private var count: UInt8 = 0

  init(chainingKey: SecretKey, input: RawSpan) {
    var code = MessageAuthentication()
    code.begin(key: chainingKey.bytes)
    code.update(input)
    extracted = SecretKey { code.finish(into: &$0) }
    self.code = code
  }

  mutating func next() -> SecretKey {
    let extracted = extracted
    count += 1
    code.begin(key: extracted.bytes)
    if let previous { code.update(previous.bytes) }
    let counter = InlineArray<1, UInt8>(repeating: count)
    code.update(unsafe counter.span.bytes)
    let key = SecretKey { code.finish(into: &$0) }
    previous = key
    return key
  }
}

// MARK: - Passphrases

/// Why no key could be made of a passphrase.
public enum PassphraseError: Error {
  /// The memory that makes guessing expensive, 128 MiB, could not be had.
  case outOfMemory
}

extension SecretKey {
  /// The key of a passphrase: scrypt (RFC 7914) with N = 2^17, r = 8, p = 1, which takes 128 MiB
  /// for as long as it runs.
  public convenience init(passphrase: RawSpan, salt: RawSpan) throws(PassphraseError) {
    try self.init { key throws(PassphraseError) in
      try scrypt(passphrase, salt: salt, n: 1 << 17, r: 8, p: 1, into: &key)
    }
  }
}

func scrypt(
  _ passphrase: RawSpan, salt: RawSpan, n: UInt64, r: UInt64, p: UInt64,
  into output: inout MutableRawSpan
) throws(PassphraseError) {
  // libcrypto refuses what takes more than 32 MiB, unless it is told another limit.
  let limit = 128 * r * (n + p + 2)
  let result = unsafe passphrase.withUnsafeBytes { passphrase in
    unsafe salt.withUnsafeBytes { salt in
      unsafe output.withUnsafeMutableBytes { output in
        unsafe EVP_PBE_scrypt(
          passphrase.baseAddress?.assumingMemoryBound(to: CChar.self), passphrase.count,
          salt.baseAddress?.assumingMemoryBound(to: UInt8.self), salt.count, n, r, p, limit,
          output.baseAddress?.assumingMemoryBound(to: UInt8.self), output.count)
      }
    }
  }
  guard result == 1 else {
    ERR_clear_error()
    throw .outOfMemory
  }
}

// MARK: - Seeds

/// Secret random keys and numbers, one after the other, all of them fixed by the seed. Each step
/// overwrites what it started from, so what was given out cannot be computed from what is kept.
public struct KeyStream: ~Copyable, Sendable {
  private var state: SecretKey

  /// The stream of a seed, which must be 32 bytes of the system's randomness, used for nothing else,
  /// and kept by nobody.
  public init(seed: consuming SecretKey) { state = seed }

  /// The next key.
  public mutating func nextKey() -> SecretKey {
    let (next, key) = state.derivePair(mixing: RawSpan())
    state = next
    return key
  }

  /// The next 64 bits.
  public mutating func nextNumber() -> UInt64 {
    let key = nextKey()
    return UInt64(littleEndian: unsafe key.bytes.unsafeLoadUnaligned(as: UInt64.self))
  }
}
