// Which words of a command line are secret.

import Testing

@testable import rsock

@Suite("Arguments") struct ArgumentsTests {
  static let key = SettingsTests.key

  static let lines: [([String], [String])] = [
    (["server", "-t", "1.2.3.4:5"], ["server", "-t", "1.2.3.4:5"]),
    (["--key=a"], ["--key=***"]),
    (["--key", "a"], ["--key", "***"]),
    (["--key="], ["--key=***"]),
    (["--hash=a=b", "-v"], ["--hash=***", "-v"]),
    (["--hash", "a", "b", "c", "-p", "80"], ["--hash", "***", "***", "***", "-p", "80"]),
    (["--hash=a", "b", "--ports", "80"], ["--hash=***", "***", "--ports", "80"]),
    (["--key", "--hash", "a"], ["--key", "--hash", "***"]),
    (["--", "--key=a"], ["--", "--key=***"]),
    (["-key", "a"], ["-key", "***"]),
    (["--KEY=a", "--Hash", "b"], ["--KEY=***", "--Hash", "***"]),
    (["--key=ü", "--hash=\u{308}a"], ["--key=***", "--hash=***"]),
    (["-v", "--hash", "=a", "-", "b"], ["-v", "--hash", "***", "-", "b"]),
    (["--key-file=key", "--key-file", "hash"], ["--key-file=key", "--key-file", "hash"]),
    (["--key-file", key, "--log=\(key)"], ["--key-file", "***", "--log=***"]),
    (["keygen", key], ["keygen", "***"]),
    ([], []),
  ]

  @Test("are masked for the parser", arguments: lines)
  func masked(_ words: [String], _ masked: [String]) {
    let arguments = Arguments(words)
    #expect(arguments.words == words)
    #expect(arguments.masked == masked)
  }
}
