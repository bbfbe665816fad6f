// The interface of a command line is its help: a change to it must be meant.

import Driver
import Engine
import Glibc
import Samples
import Testing

@Suite("Help") struct HelpTests {
  static let golden = [
    ("rsock", ["--help"]),
    ("server", ["server", "--help"]),
    ("client", ["client", "--help"]),
    ("rules", ["rules", "--help"]),
    ("keygen", ["keygen", "--help"]),
    ("status", ["status", "--help"]),
    ("reconnect", ["reconnect", "--help"]),
    ("stop", ["stop", "--help"]),
    ("rules-server", ["rules", "server", "--help"]),
    ("rules-client", ["rules", "client", "--help"]),
  ]

  /// Where these sources lie; `RECORD_GOLDEN=1` writes the files anew.
  static let directory = String(#filePath.prefix(upTo: #filePath.lastIndex(of: "/")!)) + "/Golden"

  @Test("is the text in Golden/", arguments: golden)
  func text(_ name: String, _ arguments: [String]) {
    let scratch = Scratch()
    let outcome = scratch.rsock(arguments)
    #expect(outcome.status == 0 && outcome.errors == "")
    let path = "\(Self.directory)/\(name).txt"
    if unsafe getenv("RECORD_GOLDEN") != nil {
      let file = unsafe fopen(path, "w")!
      unsafe fputs(outcome.output, file)
      unsafe fclose(file)
    }
    #expect(outcome.output == contents(path))
  }

  @Test("Each line fits a terminal of 80 columns", arguments: golden)
  func width(_ name: String, _ arguments: [String]) {
    let lines = Scratch().rsock(arguments).output.split(separator: "\n")
    #expect(lines.count > 5)
    #expect(lines.filter { $0.count > 80 } == [])
  }

  @Test("--version") func version() {
    #expect(Scratch().rsock("--version").output == "rsock 0.1.0\n")
  }

  @Test("The limits in the help are the engine's") func limits() {
    let limits = EngineLimits()
    let help = Scratch().rsock("server", "--help").output
    for text in [
      "sessions=\(limits.sessions)", "channels=\(limits.channelsPerSession)",
      "flows=\(limits.flowsPerSession)", "handshakes=\(limits.handshakesPerSecond)",
      "queued=\(limits.queuedBytes >> 10)k",
    ] {
      #expect(help.contains(text))
    }
  }

  @Test("keygen prints a key and nothing else") func keygen() throws {
    let outcomes = (0..<2).map { _ in Scratch().rsock("keygen") }
    #expect(outcomes.allSatisfy { $0.status == 0 && $0.errors == "" })
    #expect(outcomes[0].output != outcomes[1].output)
    for text in outcomes.map(\.output) {
      #expect(text.utf8.count == 45 && text.last == "\n")
      #expect(KeySource.key(base64: String(text.dropLast())) != nil)
    }
  }

  @Test("keygen says where its key was not written") func fullDisk() {
    let scratch = Scratch()
    let line = ["sh", "-c", "exec \"$0\" keygen >/dev/full", program]
    let outcome = Running(line, environment: scratch.environment(), in: scratch, "run").end()
    #expect(outcome.errors == "rsock: print the key: No space left on device\n")
    #expect(outcome.status == 1)
  }

  @Test("No argument at all shows the help") func noArguments() {
    let outcome = Scratch().rsock()
    #expect(outcome.status == 0 && outcome.output.contains("rsock server -t 127.0.0.1:9999"))
  }

  @Test("Every option is in the man page and in the README")
  func documented() {
    let root = Self.directory + "/../../.."
    let page = contents(root + "/docs/rsock.8")
    let readme = contents(root + "/README.md")
    let options = Self.options()
    #expect(options.count > 18)
    for option in options {
      // mdoc writes --ports as `Fl Fl ports` (`Fl -ports`) and -f as `Fl f`.
      let name = option.drop { $0 == "-" }
      let macro = option.hasPrefix("--") ? "Fl -\(name)" : "Fl \(name)"
      #expect(page.contains(macro), "\(option) is missing in docs/rsock.8")
      // The README's table has what changes a run.
      if !["-h", "--help", "--version"].contains(option) {
        #expect(readme.contains("`\(option)`"), "\(option) is missing in README.md")
      }
    }
  }

  /// Every option that the help of server and client names, long or short.
  private static func options() -> Set<String> {
    let texts = [["server", "--help"], ["client", "--help"]].map { Scratch().rsock($0).output }
    let lines = texts.flatMap { $0.split(separator: "\n") }.filter { $0.hasPrefix("  -") }
    let words = lines.flatMap { $0.split(whereSeparator: { " ,".contains($0) }) }
    return Set(words.filter { $0.hasPrefix("-") }.map(String.init))
  }
}
