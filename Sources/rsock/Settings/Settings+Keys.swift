// What guards a tunnel: the key, by one of the ways to give it, and what needs one.

import Driver
import Engine
import Wire

extension Settings {
  /// The ways to give a key, on the command line or in the file: one of them at a time.
  static let keyNames: [SettingName] = [.keyFile, .key, .hash]

  /// Takes in keys and cipher; `warning` is what it means to have no key.
  mutating func protect(
    _ tunnel: inout TunnelConfiguration, as role: ProcessRole, otherwise warning: String
  ) throws(StartError) {
    if let cipher = self[.cipher] { tunnel.cipher = try cipher.word() }
    tunnel.keys = try keys(for: role)
    if tunnel.keys == .none {
      if let cipher = self[.cipher], tunnel.cipher != .auto, tunnel.cipher != .none {
        throw cipher.error("has no key to work with: \(Self.keyRemedy)")
      }
      notes.append(warning)
    } else if let cipher = self[.cipher], tunnel.cipher == .none {
      notes.append(
        "\(cipher.place): nobody without the key is let in, but what the tunnel carries can be read "
          + "and forged on the way")
    }
  }

  /// What strangers are shown, once it is known whether there is a key, and what carries the channels.
  func decoy(for keys: KeySource, _ carriers: [Carrier]) throws(StartError) -> Endpoint? {
    guard let decoy = self[.decoy] else { return nil }
    let endpoint = try decoy.target()
    if keys == .none {
      throw decoy.error("has no key to tell strangers by: \(Self.keyRemedy)")
    }
    guard carriers.contains(.tcp) else {
      throw decoy.error("is shown to TCP connections, and there are none: use --type=tcp or all.")
    }
    return endpoint
  }

  private static let keyRemedy = "give one with --key-file, or leave this out."

  /// Where the keys of a server or a client come from.
  private mutating func keys(for role: ProcessRole) throws(StartError) -> KeySource {
    let given = Self.keyNames.compactMap { self[$0] }.filter(\.isKey)
    guard let setting = given.first else { return .none }
    guard given.count == 1 else {
      let places = given.map(\.place).joined(separator: " and ")
      throw StartError(.usage, "\(places) are different ways to give the key: use one of them.")
    }
    switch setting.name {
    case .keyFile: return .file(try KeyFile(try setting.keyFilePath(), for: role))
    case .hash: return try passphrase(setting)
    default: return try setting.key()
    }
  }

  private mutating func passphrase(_ setting: Setting) throws(StartError) -> KeySource {
    let source = try setting.passphrase()
    if setting.text.count < Setting.goodPassphraseLength {
      notes.append(
        "\(setting.place): this passphrase is short, and who captures the first message of a "
          + "connection can guess it offline: use \(Setting.goodPassphraseLength) characters or "
          + "more, or a key of rsock keygen")
    }
    return source
  }
}

extension Setting {
  /// As many characters take long to guess, one guess every half second a core.
  static let goodPassphraseLength = 12

  /// Whether this gives a key. The original's default passphrase says as much as nothing: its
  /// configuration files always have it.
  var isKey: Bool { name != .hash || text != "hello135" }

  fileprivate func key() throws(StartError) -> KeySource {
    guard let source = KeySource.key(base64: text) else {
      throw error(
        "is not 32 bytes of base64: make a key with rsock keygen; a passphrase is for --hash.")
    }
    return source
  }

  fileprivate func passphrase() throws(StartError) -> KeySource {
    if text.isEmpty { throw error("is empty: give a passphrase, or use a key of rsock keygen.") }
    return try .passphrase(text)
  }

  fileprivate func keyFilePath() throws(StartError) -> String {
    // The error of a file that is not there would show it.
    if text.isKey {
      throw StartError(
        .usage, "\(place): the value is a key, not the path of a file with one: keys are for --key."
      )
    }
    if text.isEmpty { throw error("is no path: for example \(example("/etc/rsock/key")).") }
    return text
  }
}
