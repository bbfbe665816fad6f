// X25519 (RFC 7748): two sides, each with a secret and a public key, agree on a secret.

internal import CCrypto

/// A point of Curve25519 as it is sent.
public struct PublicKey: Equatable, Sendable {
  /// The size of every public key, in bytes.
  public static let byteCount = 32
  private var storage: InlineArray<32, UInt8> = .init(repeating: 0)

  /// A public key from 32 bytes; any will do.
  public init(copying bytes: RawSpan) {
    precondition(bytes.byteCount == Self.byteCount, "a public key has 32 bytes")
    for offset in 0..<Self.byteCount {
      storage[offset] = unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }
  }

  /// The public key of libcrypto's key.
  fileprivate init(of key: OpaquePointer) {
    var span = storage.mutableSpan
    unsafe span.withUnsafeMutableBufferPointer { bytes in
      var count = bytes.count
      mustSucceed(unsafe EVP_PKEY_get_raw_public_key(key, bytes.baseAddress, &count))
    }
  }

  /// The bytes.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    borrowing get { unsafe storage.span.bytes }
  }

  /// Whether two public keys have the same bytes.
  public static func == (left: PublicKey, right: PublicKey) -> Bool {
    for offset in 0..<byteCount where left.storage[offset] != right.storage[offset] {
      return false
    }
    return true
  }
}

/// A secret key and its public key.
@safe public struct KeyPair: ~Copyable, @unchecked Sendable {
  private let key: OpaquePointer
  /// What the other side is told.
  public let publicKey: PublicKey

  /// The pair of a secret key, of which any 32 bytes will do.
  public init(_ secret: SecretKey) {
    let key = unsafe secret.bytes.withUnsafeBytes { secret in
      unsafe allocated(
        EVP_PKEY_new_raw_private_key_ex(
          nil, "X25519", nil, secret.baseAddress?.assumingMemoryBound(to: UInt8.self),
          secret.count))
    }
    unsafe self.key = key
    unsafe publicKey = PublicKey(of: key)
  }

  // libcrypto overwrites its copy of the secret key.
  deinit { unsafe EVP_PKEY_free(key) }

  /// The secret that the other side computes from its own secret key and this public key. Nil where
  /// `peer` is one of the few points that give zero whatever the secret key.
  public func sharedSecret(with peer: PublicKey) -> SecretKey? {
    let peer = unsafe peer.bytes.withUnsafeBytes { peer in
      unsafe allocated(
        EVP_PKEY_new_raw_public_key_ex(
          nil, "X25519", nil, peer.baseAddress?.assumingMemoryBound(to: UInt8.self), peer.count))
    }
    defer { unsafe EVP_PKEY_free(peer) }
    let context = unsafe allocated(EVP_PKEY_CTX_new_from_pkey(nil, key, nil))
    defer { unsafe EVP_PKEY_CTX_free(context) }
    mustSucceed(unsafe EVP_PKEY_derive_init(context))
    mustSucceed(unsafe EVP_PKEY_derive_set_peer_ex(context, peer, 0))
    var isUsable = false
    let secret = SecretKey { secret in
      isUsable = unsafe secret.withUnsafeMutableBytes { secret in
        var count = secret.count
        let start = unsafe secret.baseAddress?.assumingMemoryBound(to: UInt8.self)
        return unsafe EVP_PKEY_derive(context, start, &count) == 1
      }
    }
    if !isUsable { ERR_clear_error() }
    return isUsable ? secret : nil
  }
}
