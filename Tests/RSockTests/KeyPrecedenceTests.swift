// Which of the ways to give a key counts: an option, a key of the file, the environment.

import Driver
import Glibc
import Samples
import Testing
import rsock

@Suite("Which key counts") struct KeyPrecedenceTests {
  typealias Settings = rsock.Settings
  static let (key, other) = (SettingsTests.key, SettingsTests.otherKey)

  /// The keys of a server with these options, this `param` of a file, and this environment.
  static func keys(
    _ options: [SettingName: String], param: String = "", environment: String? = nil
  ) throws -> KeySource {
    let scratch = Scratch()
    let options = options.merging([.taddr: "127.0.0.1:9999"]) { given, _ in given }
    let file = scratch.file("rsock.json", "{\"param\": {\(param)}}")
    var settings = try Settings(options: options, file: file, environmentKey: environment)
    return try settings.server().tunnel.keys
  }

  @Test("The command line over the file over the environment") func order() throws {
    let inFile = "\"key\": \"\(Self.other)\""
    #expect(try Self.keys([:]) == .none)
    #expect(try Self.keys([:], environment: Self.key) == SettingsTests.keys)
    #expect(try Self.keys([:], param: inFile, environment: Self.key) == SettingsTests.otherKeys)
    #expect(try Self.keys([.key: Self.key], param: inFile) == SettingsTests.keys)
    #expect(try Self.keys([.key: Self.key], environment: Self.other) == SettingsTests.keys)
  }

  @Test("Another way to give a key on the command line replaces the file's") func ways() throws {
    let file = KeySource.file(try KeyFile("/k", for: .server))
    let inFile = "\"key-file\": \"/k\""
    #expect(try Self.keys([:], param: inFile) == file)
    #expect(try Self.keys([.key: Self.key], param: inFile) == SettingsTests.keys)
    #expect(try Self.keys([.keyFile: "/k"], param: "\"key\": \"wrong\"") == file)
  }

  @Test("The original's default passphrase is none") func original() throws {
    let inFile = "\"hash\": \"hello135\""
    #expect(try Self.keys([:], param: inFile) == .none)
    #expect(try Self.keys([:], param: inFile, environment: Self.key) == SettingsTests.keys)
    #expect(try Self.keys([.hash: "hello135"], environment: Self.key) == SettingsTests.keys)
    #expect(
      try Self.keys([:], param: inFile + ", \"key\": \"\(Self.key)\"") == SettingsTests.keys)
    #expect(
      try Self.keys([.hash: "hello135"], param: "\"key\": \"\(Self.key)\"")
        == SettingsTests.keys)
  }

  static let conflicts: [([SettingName: String], String, String)] = [
    ([.key: key, .keyFile: "/k"], "", "--key-file and --key"),
    ([.key: key, .hash: "secret"], "", "--key and --hash"),
    (
      [.key: key, .hash: "secret", .keyFile: "/k"], "\"key\": \"\(key)\"",
      "--key-file and --key and --hash"
    ),
    ([:], "\"key\": \"\(key)\", \"hash\": \"secret\"", "\"key\" in FILE and \"hash\" in FILE"),
  ]

  @Test("Two ways at once are an error", arguments: conflicts)
  func conflict(_ options: [SettingName: String], _ param: String, _ places: String) {
    #expect {
      _ = try Self.keys(options, param: param)
    } throws: {
      guard let error = $0 as? StartError else { return false }
      let words = error.sentence.split(separator: " ")
      let sentence = words.map { $0.hasSuffix("/rsock.json") ? "FILE" : $0 }.joined(separator: " ")
      return error.kind == .usage
        && sentence == "\(places) are different ways to give the key: use one of them."
    }
  }

  @Test("A configuration file with a key that is open to all is told") func openFile() throws {
    for (param, isTold) in [
      ("\"key\": \"\(Self.key)\"", true), ("\"hash\": \"secret\"", true),
      ("\"hash\": \"hello135\"", false), ("\"key-file\": \"/k\"", false),
    ] {
      let scratch = Scratch()
      let path = scratch.file("rsock.json", "{\"param\": {\(param)}}")
      unsafe chmod(path, 0o644)
      let told = "\(path) has a key and is open to all users: run chmod o= \(path)"
      #expect(try Settings(options: [:], file: path).notes == (isTold ? [told] : []))
      unsafe chmod(path, 0o640)
      #expect(try Settings(options: [:], file: path).notes == [])
    }
  }

  @Test("What prints a setting does not print a secret") func printing() throws {
    let settings = try Settings(options: [.key: Self.key, .hash: "sesame"], file: nil)
    for name in [SettingName.key, .hash] {
      let setting = try #require(settings[name])
      #expect("\(setting)" == "--\(name.rawValue)")
    }
  }
}
