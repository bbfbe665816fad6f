// The file of `-f`, in the original's form:
//
//   { "daemon": 0, "verbose": false, "log": "/var/log/rsock.log",
//     "param": { "taddr": "127.0.0.1:9999", "ports": "80,10001-10010", "duration": 600 } }

import Driver
import FoundationEssentials
import Glibc

/// What a configuration file says.
struct ConfigurationFile {
  private(set) var settings: [SettingName: Setting] = [:]
  private(set) var notes: [String] = []
  private let path: String

  init(path: String) throws(StartError) {
    self.path = path
    guard case .object(let top) = try Self.parse(try Self.read(path), path) else {
      throw Self.malformed(path, "the outermost value must be an object: { … }")
    }
    try take(top, isTopLevel: true)
    switch top["param"] {
    case .object(let members): try take(members, isTopLevel: false)
    case .null, nil: break
    default: throw Self.malformed(path, "\"param\" must be an object: { … }")
    }
  }

  private mutating func take(_ members: [String: JSONValue], isTopLevel: Bool) throws(StartError) {
    for (key, value) in members.sorted(by: { $0.key < $1.key }) {
      if isTopLevel && key == "param" { continue }
      if key == "server" {
        notes.append("\"server\" in \(path) is accepted and ignored: the command says the role")
      } else if let name = SettingName(rawValue: key), name.isTopLevel == isTopLevel {
        try take(value, as: name)
      } else {
        notes.append("unknown key \"\(key)\" in \(path) is ignored\(hint(key))")
      }
    }
  }

  private mutating func take(_ value: JSONValue, as name: SettingName) throws(StartError) {
    if case .null = value { return }
    guard let text = value.text else {
      throw Self.malformed(path, "\"\(name.rawValue)\" must be a string or a number")
    }
    // The original wrote what was not set as an empty string.
    if !text.isEmpty { settings[name] = Setting(name: name, text: text, file: path) }
  }

  private func hint(_ key: String) -> String {
    guard let name = SettingName(rawValue: key) else { return "" }
    return name.isTopLevel ? ": it belongs outside \"param\"" : ": it belongs inside \"param\""
  }
}

extension ConfigurationFile {
  private static func parse(_ data: Data, _ path: String) throws(StartError) -> JSONValue {
    if data.isEmpty { throw malformed(path, "it is empty") }
    // The decoder does not say where it stopped.
    do { return try JSONDecoder().decode(JSONValue.self, from: data) } catch {
      throw StartError(.usage, "-f: \(path) is not valid JSON: find the place with: jq . \(path)")
    }
  }

  private static func malformed(_ path: String, _ reason: String) -> StartError {
    StartError(.usage, "-f: \(path) is no configuration: \(reason).")
  }

  private static func read(_ path: String) throws(StartError) -> Data {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file != -1 else { throw unreadable(path) }
    defer { close(file) }
    // A configuration is a few hundred bytes; /dev/zero is none.
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    var length = 0
    while length < bytes.count {
      let count = unsafe bytes.withUnsafeMutableBytes {
        unsafe Glibc.read(file, $0.baseAddress! + length, $0.count - length)
      }
      guard count != -1 else { throw unreadable(path) }
      if count == 0 { return Data(bytes[..<length]) }
      length += count
    }
    throw malformed(path, "it is larger than 1 MiB")
  }

  private static func unreadable(_ path: String) -> StartError {
    StartError(
      call: "-f: cannot read \"\(path)\"", code: errno,
      remedy: "Give the path of a JSON file that you may read.")
  }
}
