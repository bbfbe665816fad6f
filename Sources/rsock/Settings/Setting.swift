// What the user said, as text with its origin, before it is parsed.

import Driver

/// The settings by the name of their long option, which is their key in the file too.
package enum SettingName: String, CaseIterable, Sendable {
  case taddr
  case ludp
  case dev
  case lcapIp
  case ports
  case duration
  case keyFile = "key-file"
  case key
  case hash
  case cipher
  case type
  case daemon
  case verbose
  case log
  case control
  case capTimeout = "cap_timeout"
  case keepalive
  case unPath
  case firewall
  case tx
  case mark
  case schedule
  case limits
  case decoy
  case channels
  case maxChannels = "max-channels"
  case rotate
  case noSandbox = "no-sandbox"

  /// Whether the setting stands at the top of the file; the others are in its `param`.
  var isTopLevel: Bool {
    switch self {
    case .daemon, .verbose, .log, .control, .noSandbox: true
    default: false
    }
  }

  /// Whether nobody else may see the value: it is in no message, and `ps` does not show it.
  var isSecret: Bool { self == .key || self == .hash }
}

/// One setting as the user wrote it.
package struct Setting: Hashable, Sendable {
  /// Where a setting comes from.
  enum Origin: Hashable, Sendable {
    case option
    case file(String)
    case environment
  }

  /// The variable of the environment that is a key.
  static let environmentKey = "RSOCK_KEY"

  /// Which one.
  package var name: SettingName
  /// Its value.
  package var text: String
  /// Where it comes from.
  var origin: Origin

  /// Where it stands, as messages begin: `--ports`, or `"ports" in FILE`.
  var place: String {
    switch origin {
    case .option: "--\(name.rawValue)"
    case .file(let path): "\"\(name.rawValue)\" in \(path)"
    case .environment: Self.environmentKey
    }
  }

  /// The setting in the form in which it would be right, for a message.
  func example(_ value: String) -> String {
    guard case .file = origin else { return "--\(name.rawValue)=\(value)" }
    let isNumber = value.allSatisfy(\.isNumber)
    return "\"\(name.rawValue)\": " + (isNumber ? value : "\"\(value)\"")
  }

  /// A usage error: where, what was written unless it is secret, and a sentence's rest.
  func error(_ rest: String) -> StartError {
    StartError(.usage, "\(place): \(name.isSecret ? "the value" : "\"\(text)\"") \(rest)")
  }
}

extension Setting: CustomStringConvertible {
  /// The setting without a value that is secret.
  package var description: String { name.isSecret ? place : "\(place) \(text)" }
}
