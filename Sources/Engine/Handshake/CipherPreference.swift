// Which cipher the user wants for data.

/// The cipher that this end wants for data. It counts only where there is a key; both ends have to
/// agree.
public enum CipherPreference: String, CaseIterable, Hashable, Sendable {
  /// AES-GCM where the processors at both ends have instructions for it, else ChaCha20-Poly1305.
  case auto
  /// AES-256-GCM.
  case aesGCM = "aes-gcm"
  /// ChaCha20-Poly1305.
  case chaCha20 = "chacha20"
  /// The handshake is authenticated, data is plain: for apps that encrypt already. Both ends have to
  /// say so.
  case none
}
