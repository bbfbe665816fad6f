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
    let (data, isOpenToAll) = try Self.read(path)
    guard case .object(let top) = try Self.parse(data, path) else {
      throw Self.malformed(path, "the outermost value must be an object: { … }")
    }
    try take(top, isTopLevel: true)
    switch top["param"] {
    case .object(let members): try take(members, isTopLevel: false)
    case .null, nil: break
    default: throw Self.malformed(path, "\"param\" must be an object: { … }")
    }
    if isOpenToAll, settings.values.contains(where: { $0.name.isSecret && $0.isKey }) {
      notes.append("\(path) has a key and is open to all users: run chmod o= \(path)")
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
    // A long passphrase of digits would be another one after it has been a number.
    guard let text = name.isSecret ? value.string : value.text else {
      let kinds = name.isSecret ? "a string" : "a string or a number"
      throw Self.malformed(path, "\"\(name.rawValue)\" must be \(kinds)")
    }
    // The original wrote what was not set as an empty string. Of the keys it had `hash` alone: one
    // that came out empty must not open the tunnel to anyone.
    if !text.isEmpty || name == .key || name == .keyFile {
      settings[name] = Setting(name: name, text: text, origin: .file(path))
    }
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

  private static func read(_ path: String) throws(StartError) -> (Data, isOpenToAll: Bool) {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file != -1 else { throw unreadable(path) }
    defer { close(file) }
    var status = stat()
    guard unsafe fstat(file, &status) == 0 else { throw unreadable(path) }
    let isOpenToAll = status.st_mode & 0o007 != 0
    // A configuration is a few hundred bytes; /dev/zero is none.
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    var length = 0
    while length < bytes.count {
      let count = unsafe bytes.withUnsafeMutableBytes {
        unsafe Glibc.read(file, $0.baseAddress! + length, $0.count - length)
      }
      guard count != -1 else { throw unreadable(path) }
      if count == 0 { return (Data(bytes[..<length]), isOpenToAll) }
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
