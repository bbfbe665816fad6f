// What is made of a shared key for the handshake.

internal import Crypto
internal import Wire

/// The keys that a shared key stands for: each has one use (Noise, revision 34, section 14).
struct HandshakeKeys {
  /// The pre-shared key of the key exchange.
  let exchange: SecretKey
  /// What hints are made with.
  let hint: SecretKey

  init(_ key: SecretKey) {
    let label = Array("rsock 1".utf8)
    (exchange, hint) = key.derivePair(mixing: label.span.octets)
  }
}
