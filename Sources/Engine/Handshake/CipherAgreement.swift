// Which cipher a channel's data gets: both Hellos say what their side takes.

internal import Crypto
internal import Wire

extension CipherPreference {
  /// What this side takes, as its Hello says it.
  func flags(hasFastAES: Bool) -> HelloFlags {
    let speed: HelloFlags = hasFastAES ? .hasFastAES : []
    return switch self {
    case .auto: speed.union([.aesGCM, .chaCha20])
    case .aesGCM: speed.union(.aesGCM)
    case .chaCha20: speed.union(.chaCha20)
    case .none: speed.union(.plain)
    }
  }
}

/// What both sides take.
enum CipherAgreement: Equatable {
  case sealed(CipherSuite)
  case plain

  /// What both Hellos allow, the same on either side; nil where that is nothing.
  init?(_ one: HelloFlags, _ other: HelloFlags) {
    let common = one.intersection(other)
    if common.isSuperset(of: [.aesGCM, .chaCha20]) {
      self = .sealed(common.contains(.hasFastAES) ? .aes256GCM : .chaCha20Poly1305)
    } else if common.contains(.aesGCM) {
      self = .sealed(.aes256GCM)
    } else if common.contains(.chaCha20) {
      self = .sealed(.chaCha20Poly1305)
    } else if common.contains(.plain) {
      self = .plain
    } else {
      return nil
    }
  }
}
