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
  case hash
  case type
  case daemon
  case verbose
  case log
  case capTimeout = "cap_timeout"
  case keepalive
  case unPath
  case firewall
  case tx
  case schedule
  case maxChannels = "max-channels"
  case noSandbox = "no-sandbox"

  /// Whether the setting stands at the top of the file; the others are in its `param`.
  var isTopLevel: Bool {
    switch self {
    case .daemon, .verbose, .log, .noSandbox: true
    default: false
    }
  }
}

/// One setting as the user wrote it.
package struct Setting: Hashable, Sendable {
  /// Which one.
  package var name: SettingName
  /// Its value.
  package var text: String
  /// The file that it comes from; nil for the command line.
  package var file: String?

  /// Where it stands, as messages begin: `--ports`, or `"ports" in FILE`.
  var place: String {
    file.map { "\"\(name.rawValue)\" in \($0)" } ?? "--\(name.rawValue)"
  }

  /// The setting in the form in which it would be right, for a message.
  func example(_ value: String) -> String {
    if file == nil { return "--\(name.rawValue)=\(value)" }
    let isNumber = value.allSatisfy(\.isNumber)
    return "\"\(name.rawValue)\": " + (isNumber ? value : "\"\(value)\"")
  }

  /// A usage error: where, what was written, and a sentence's rest.
  func error(_ rest: String) -> StartError {
    StartError(.usage, "\(place): \"\(text)\" \(rest)")
  }
}
