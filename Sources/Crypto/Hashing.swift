// SHA-256 (FIPS 180-4) and HMAC-SHA256 (RFC 2104).

internal import CCrypto

/// 32 bytes that SHA-256 or HMAC-SHA256 gave. For those that are secret there is `SecretKey`.
public struct Digest: Sendable {
  /// The size of every digest, in bytes.
  public static let byteCount = 32
  private var storage: InlineArray<32, UInt8> = .init(repeating: 0)

  /// A digest that was kept, or came from elsewhere: 32 bytes.
  public init(copying bytes: RawSpan) {
    precondition(bytes.byteCount == Self.byteCount, "a digest has 32 bytes")
    for offset in 0..<Self.byteCount {
      storage[offset] = unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }
  }

  /// A digest whose bytes `body` writes.
  init(filling body: (inout MutableRawSpan) -> Void) {
    var span = storage.mutableSpan
    var bytes = unsafe span.mutableBytes
    body(&bytes)
  }

  /// The bytes.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    borrowing get { unsafe storage.span.bytes }
  }
}

extension Digest: Equatable {
  /// Whether two digests are the same; the time that takes tells nothing of where they differ.
  public static func == (left: Digest, right: Digest) -> Bool {
    unsafe left.bytes.withUnsafeBytes { left in
      unsafe right.bytes.withUnsafeBytes { right in
        unsafe CRYPTO_memcmp(left.baseAddress, right.baseAddress, byteCount) == 0
      }
    }
  }
}

/// The SHA-256 of the parts, one behind the other.
public func sha256(
  _ first: RawSpan, _ second: RawSpan = RawSpan(), _ third: RawSpan = RawSpan()
) -> Digest {
  let context = unsafe allocated(EVP_MD_CTX_new())
  defer { unsafe EVP_MD_CTX_free(context) }
  mustSucceed(unsafe EVP_DigestInit_ex2(context, Algorithms.shared.sha256, nil))
  update(first)
  update(second)
  update(third)
  return Digest { digest in
    unsafe digest.withUnsafeMutableBytes { digest in
      let start = unsafe digest.baseAddress?.assumingMemoryBound(to: UInt8.self)
      mustSucceed(unsafe EVP_DigestFinal_ex(context, start, nil))
    }
  }

  func update(_ part: RawSpan) {
    unsafe part.withUnsafeBytes { part in
      mustSucceed(unsafe EVP_DigestUpdate(context, part.baseAddress, part.count))
    }
  }
}

/// The HMAC-SHA256 of the parts, one behind the other.
public func hmacSHA256(
  _ first: RawSpan, _ second: RawSpan = RawSpan(), _ third: RawSpan = RawSpan(), key: SecretKey
) -> Digest {
  var code = MessageAuthentication()
  code.begin(key: key.bytes)
  code.update(first)
  code.update(second)
  code.update(third)
  return Digest { code.finish(into: &$0) }
}

/// HMAC-SHA256 in steps, one message after the other.
@safe struct MessageAuthentication: ~Copyable {
  private let context: OpaquePointer

  init() { unsafe context = allocated(EVP_MAC_CTX_dup(Algorithms.shared.hmacSHA256)) }

  // libcrypto overwrites the key and the state.
  deinit { unsafe EVP_MAC_CTX_free(context) }

  /// Starts a message. The key is set each time: libcrypto 3.0.2 and before ignore a restart with
  /// the same one.
  mutating func begin(key: RawSpan) {
    unsafe key.withUnsafeBytes { key in
      let start = unsafe key.baseAddress?.assumingMemoryBound(to: UInt8.self)
      mustSucceed(unsafe EVP_MAC_init(context, start, key.count, nil))
    }
  }

  mutating func update(_ part: RawSpan) {
    guard part.byteCount > 0 else { return }
    unsafe part.withUnsafeBytes { part in
      let start = unsafe part.baseAddress?.assumingMemoryBound(to: UInt8.self)
      mustSucceed(unsafe EVP_MAC_update(context, start, part.count))
    }
  }

  /// Writes the 32 bytes.
  mutating func finish(into code: inout MutableRawSpan) {
    unsafe code.withUnsafeMutableBytes { code in
      let start = unsafe code.baseAddress?.assumingMemoryBound(to: UInt8.self)
      mustSucceed(unsafe EVP_MAC_final(context, start, nil, code.count))
    }
  }
}
