// Files that are wrong, not there, or not for this user to read or write.

import Glibc
import Samples
import Testing

@Suite("Wrong input in files") struct FileSentenceTests {
  static let server = SentenceTests.server

  @Test("A log file that cannot be written") func unwritableLog() {
    let outcome = Scratch().rsock(Self.server + ["--log=/nonexistent/log"])
    #expect(
      outcome.errors
        == "rsock: --log: cannot write \"/nonexistent/log\": No such file or directory. "
        + "Give the path of a file in a directory that you may write to.\n")
    #expect(outcome.status == 1)
  }

  @Test("A configuration file that is not there") func noFile() {
    let outcome = Scratch().rsock(Self.server + ["-f", "/nonexistent/json"])
    #expect(
      outcome.errors == "rsock: -f: cannot read \"/nonexistent/json\": No such file or directory. "
        + "Give the path of a JSON file that you may read.\n")
    #expect(outcome.status == 1)
  }

  @Test(
    "What the user may not do is told with exit code 77",
    arguments: [
      "--log=/etc/rsock.log": "--log: cannot write \"/etc/rsock.log\"",
      "-f/etc/shadow": "-f: cannot read \"/etc/shadow\"",
    ])
  func permission(_ option: String, _ start: String) {
    let scratch = Scratch()
    // A plain user may not see where the program was built.
    let script = """
      chmod 755 . && cp "$0" rsock
      exec setpriv --reuid=65534 --regid=65534 --clear-groups ./rsock "$@"
      """
    let outcome = Running(
      ["sh", "-c", "cd \"$RUNTIME_DIRECTORY\" && \(script)", program] + Self.server + [option],
      environment: scratch.environment(), in: scratch, "nobody"
    ).end()
    #expect(outcome.errors.hasPrefix("rsock: \(start)"))
    #expect(outcome.errors.contains(": Permission denied. Give the path of a "))
    #expect(outcome.status == 77)
  }

  static let files: [(String, String)] = [
    ("", "is no configuration: it is empty."),
    ("{", "is not valid JSON: find the place with: jq . FILE"),
    ("{\"param\": {\"ports\" \"80\"}}", "is not valid JSON: find the place with: jq . FILE"),
    ("[]", "is no configuration: the outermost value must be an object: { … }."),
    ("{\"param\": 1}", "is no configuration: \"param\" must be an object: { … }."),
    (
      "{\"param\": {\"ports\": [80]}}",
      "is no configuration: \"ports\" must be a string or a number."
    ),
    ("{\"param\": {\"key\": 1}}", "is no configuration: \"key\" must be a string."),
    ("{\"param\": {\"hash\": [\"sesame\"]}}", "is no configuration: \"hash\" must be a string."),
  ]

  @Test("in a configuration file", arguments: files)
  func file(_ text: String, _ sentence: String) {
    let scratch = Scratch()
    let path = scratch.file("rsock.json", text)
    let outcome = scratch.rsock(Self.server + ["-f", path])
    let expected = "rsock: -f: \(path) \(sentence)\n".split(separator: "FILE").joined(
      separator: path)
    #expect(outcome.errors == expected)
    #expect(outcome.status == 64)
  }

  static let secrets: [(String, String)] = [
    ("\"key\": \"sesame\"", "\"key\" in FILE: \(SentenceTests.noKey)"),
    ("\"key\": \"\"", "\"key\" in FILE: \(SentenceTests.noKey)"),
    (
      "\"key-file\": \"\(SettingsTests.key)\"",
      "\"key-file\" in FILE: the value is a key, not the path of a file with one: keys are for --key."
    ),
    (
      "\"key-file\": \"\"",
      "\"key-file\" in FILE: \"\" is no path: for example \"key-file\": \"/etc/rsock/key\"."
    ),
  ]

  @Test("A key in a file is not shown", arguments: secrets)
  func secret(_ param: String, _ sentence: String) {
    let scratch = Scratch()
    let path = scratch.file("rsock.json", "{\"param\": {\(param)}}")
    let outcome = scratch.rsock(Self.server + ["-f", path])
    #expect(
      outcome.errors == "rsock: \(sentence)\n".split(separator: "FILE").joined(separator: path))
    #expect(outcome.status == 64)
  }

  @Test("A key file that is not private, or another user's") func keyFile() {
    let scratch = Scratch()
    let path = scratch.file("keys", SettingsTests.key)
    unsafe chmod(path, 0o644)
    let open = scratch.rsock(Self.server + ["--key-file", path])
    #expect(
      open.errors
        == "rsock: --key-file: \(path) is open to all users (mode 0644): run chmod o= \(path)\n")
    #expect(open.status == 77)
    unsafe chmod(path, 0o600)
    #expect(unsafe chown(path, 65534, 65534) == 0)
    let foreign = scratch.rsock(Self.server + ["--key-file=\(path)"])
    #expect(
      foreign.errors
        == "rsock: --key-file: \(path) belongs to another user (uid 65534), who can read "
        + "and replace the keys: run chown \(geteuid()) \(path)\n")
    #expect(foreign.status == 77)
  }

  @Test("A mistake in a key file is told by its line") func keyLine() {
    let scratch = Scratch()
    let path = scratch.file("keys", "laptop \(SettingsTests.key)\nphone sesame\n")
    unsafe chmod(path, 0o600)
    let outcome = scratch.rsock(Self.server + ["--key-file", path])
    #expect(
      outcome.errors == "rsock: --key-file: \(path), line 2: the key is not 32 bytes of base64: "
        + "make one with rsock keygen.\n")
    #expect(outcome.status == 64)
  }

  @Test("A value in a file is named with the file") func valueInFile() {
    let scratch = Scratch()
    let path = scratch.file("rsock.json", "{\"param\": {\"duration\": 5}}")
    let outcome = scratch.rsock(Self.server + ["-f", path])
    #expect(
      outcome.errors
        == "rsock: \"duration\" in \(path): \"5\" is no number of seconds from 10 to 6000: "
        + "for example \"duration\": 600.\n")
    #expect(outcome.status == 64)
  }
}
