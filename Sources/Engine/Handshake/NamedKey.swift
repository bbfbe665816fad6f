// A key as the user names it, and what is made of it for the handshake.

public import Crypto
internal import Wire

/// A key and whose it is.
public struct NamedKey: Sendable {
  /// Tells clients apart in the log, and binds their sessions to their key.
  public let name: String
  /// The key that both sides have.
  public let key: SecretKey

  /// A key from its parts.
  public init(name: String, key: SecretKey) {
    self.name = name
    self.key = key
  }
}

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
