// libcrypto's algorithms, looked up by name once: a look-up takes locks and allocates.

internal import CCrypto

/// The algorithms that this module uses. libcrypto only counts references to them from then on, so
/// any thread may use them.
@safe struct Algorithms: @unchecked Sendable {
  static let shared = Algorithms()

  let aes256GCM: OpaquePointer
  let chaCha20Poly1305: OpaquePointer
  let sha256: OpaquePointer
  /// An HMAC-SHA256 to make others from; its own key is of no meaning.
  let hmacSHA256: OpaquePointer

  private init() {
    // No openssl.cnf: what rsock speaks is not up to a host's configuration, and nothing is left to
    // be read from the file system once a sandbox is up.
    let options = UInt64(OPENSSL_INIT_NO_LOAD_CONFIG)
    guard OPENSSL_init_crypto(options, nil) == 1 else { fatalError("libcrypto: no start") }
    unsafe aes256GCM = found(EVP_CIPHER_fetch(nil, "AES-256-GCM", nil), "AES-256-GCM")
    unsafe chaCha20Poly1305 = found(
      EVP_CIPHER_fetch(nil, "ChaCha20-Poly1305", nil), "ChaCha20-Poly1305")
    unsafe sha256 = found(EVP_MD_fetch(nil, "SHA2-256", nil), "SHA2-256")
    unsafe hmacSHA256 = hmacTemplate()
  }
}

private func hmacTemplate() -> OpaquePointer {
  let hmac = unsafe found(EVP_MAC_fetch(nil, "HMAC", nil), "HMAC")
  let context = unsafe allocated(EVP_MAC_CTX_new(hmac))
  unsafe EVP_MAC_free(hmac)
  let key: InlineArray<32, UInt8> = .init(repeating: 0)
  // An OSSL_PARAM only points to the two texts.
  unsafe OSSL_MAC_PARAM_DIGEST.withCString { name in
    unsafe "SHA2-256".withCString { digest in
      let parameters = unsafe [
        OSSL_PARAM_construct_utf8_string(name, UnsafeMutablePointer(mutating: digest), 0),
        OSSL_PARAM_construct_end(),
      ]
      unsafe key.span.withUnsafeBufferPointer { key in
        mustSucceed(unsafe EVP_MAC_init(context, key.baseAddress, key.count, parameters))
      }
    }
  }
  return unsafe context
}

private func found(_ algorithm: OpaquePointer?, _ name: StaticString) -> OpaquePointer {
  guard let algorithm = unsafe algorithm else { fatalError("libcrypto has no \(name)") }
  return unsafe algorithm
}

/// What libcrypto allocated; as everywhere in Swift, running out of memory ends the program.
func allocated(_ object: OpaquePointer?) -> OpaquePointer {
  guard let object = unsafe object else { fatalError("libcrypto: out of memory") }
  return unsafe object
}

/// Traps where a call of libcrypto failed that only a programmer's error, or the lack of memory for
/// a context, can make fail.
@inline(__always)
func mustSucceed(
  _ result: CInt, file: StaticString = #fileID, line: UInt = #line
) {
  guard result == 1 else { libcryptoRefused(file, line) }
}

@inline(never)
private func libcryptoRefused(_ file: StaticString, _ line: UInt) -> Never {
  fatalError("libcrypto refused a call", file: file, line: line)
}
