// A tunnel at work shows its key to nobody: not in ps, not in /proc, not in its log, however much it
// says, and not in a core file.

import Crypto
import Glibc
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct KeyHygieneTests {
    @Test(arguments: Way.allCases)
    func nothingShowsTheKey(way: Way) async throws {
      try await withTwoHosts { client, server in
        let secret = try Secret(way)
        let pair = try Pair(client, server, secret)
        for program in pair.programs {
          let arguments = try textOfFile("/proc/\(program.pid)/cmdline")
          #expect(arguments.hasPrefix("/") && arguments.contains("-v"), "\(arguments)")
          #expect(!secret.isIn(arguments), "\(arguments)")
          #expect(!secret.isIn(try textOfFile("/proc/\(program.pid)/environ")))
        }
        // Root sees the environment of all, too.
        let processes = try run("ps", "-ef", "-ww") + run("ps", "axeww")
        #expect(processes.contains("rsock") && !secret.isIn(processes), "\(processes)")
        for program in pair.programs {
          #expect(try program.terminate() == .exited(0))
          let log = program.errors + program.output
          #expect(log.contains(" debug: ") && log.contains("stopped: "), "\(log)")
          #expect(!secret.isIn(log), "\(log)")
        }
      }
    }

    @Test(arguments: Way.allCases)
    func noCoreFileHasTheKey(way: Way) async throws {
      try await withTwoHosts { client, server in
        let pair = try Pair(client, server, try Secret(way))
        for program in pair.programs {
          program.signal(SIGSEGV)
          #expect(try program.wait(atMost: .seconds(5)) == .killed(SIGSEGV))
          #expect(!program.hasDumpedCore)
        }
        #expect(try run("ls", pair.directory) == "")
        // Another program of the same user does dump its core there, so that the above says something.
        let other = try client.startDumping(["sleep", "60"], in: pair.directory)
        try wait(for: "its start") { try textOfFile("/proc/\(other.pid)/comm") == "sleep\n" }
        other.signal(SIGSEGV)
        #expect(try other.wait(atMost: .seconds(5)) == .killed(SIGSEGV))
        #expect(other.hasDumpedCore)
        try run("rm", "-rf", pair.directory)
      }
    }

    /// A key that was replaced is not found in the server's memory any more, neither as text nor as
    /// bytes.
    @Test func nothingKeepsAKeyThatWasReplaced() async throws {
      try await withTwoHosts { _, server in
        let old = try Installation.newKey()
        let path = try Installation.writeKeys([old], to: "replaced-key")
        let process = try server.startRsock(Tunnel.serverArguments() + ["--key-file=\(path)"])
        try process.waitForText("server ready")
        guard let secret = SecretKey(base64: old.utf8.span.octets) else { throw Failure(old) }
        let key = (0..<SecretKey.byteCount).map { secret.bytes.byte(at: $0) }
        #expect(try process.memoryContains(key))
        try Installation.writeKeys([Installation.newKey()], to: "replaced-key")
        process.signal(SIGHUP)
        try process.waitForText("keys: 1")
        #expect(try !process.memoryContains(key))
        #expect(try !process.memoryContains(Array(old.utf8)))
        #expect(try process.terminate() == .exited(0))
      }
    }

    /// What is wrong with a key is told without the key.
    @Test func complaintsDoNotShowTheKey() async throws {
      try await withTwoHosts { client, server in
        let key = try Installation.newKey()
        let broken = String(key.dropFirst(4)) + "!"
        let wrong = try Installation.writeKeys(["laptop \(key) \(broken)"], to: "wrong-keys")
        let twice = try Installation.writeKeys(["one \(key)", "two \(key)"], to: "same-keys")
        let short = try Installation.writeKeys([broken], to: "short-key")
        let arguments = [
          ["--key=\(broken)"], ["--key", broken], ["--keys=\(key)"], ["--key-file=\(key)"],
          ["--key-file=\(wrong)"], ["--key-file=\(twice)"], ["--key-file=\(short)"],
          ["--key=\(key)", "--hash=\(key)"], [key],
        ]
        for line in arguments {
          let (status, output, errors) = try server.runRsock(
            Tunnel.serverArguments() + line + ["-v"])
          #expect(status == .exited(64), "\(line): \(errors)")
          #expect(errors.isOneSentence, "\(line): \(errors)")
          for secret in [key, broken] { #expect(!(output + errors).contains(secret), "\(errors)") }
        }
      }
    }
  }

  /// The ways to give a key.
  enum Way: CaseIterable {
    case option, passphrase, file, environment
  }
}

/// A key or passphrase, and how it is given.
private struct Secret {
  let text: String
  let arguments: [String]
  let environment: [String]

  init(_ way: NamespaceTests.Way) throws {
    text = way == .passphrase ? "correct-horse-battery" : try Installation.newKey()
    environment = way == .environment ? ["RSOCK_KEY=\(text)"] : []
    switch way {
    case .option: arguments = ["--key=\(text)"]
    case .passphrase: arguments = ["--hash", text]
    case .file: arguments = ["--key-file=\(try Installation.writeKeys([text], to: "hidden-key"))"]
    case .environment: arguments = []
    }
  }

  /// Whether it, or a part of it, is in a text.
  func isIn(_ text: String) -> Bool {
    let part = self.text.utf8.count / 2
    return text.contains(self.text.prefix(part)) || text.contains(self.text.suffix(part))
  }
}

/// A server and a client with the secret, which say all that they can and carry datagrams, in a
/// directory where a core file would be written.
private struct Pair {
  let directory: String
  let programs: [ChildProcess]

  init(_ client: Host, _ server: Host, _ secret: Secret) throws {
    directory = try run("mktemp", "-d", "\(Installation.directory.get())/core-XXXXXX")
      .split(separator: "\n").joined()
    try run("chown", "\(Installation.user)", directory)
    let lines = [
      (server, try Tunnel.serverArguments()), (client, try Tunnel.clientArguments(to: server)),
    ]
    let target = try UDPSocket(in: server.namespace, local: Tunnel.exit)
    programs = try lines.map { [directory] host, arguments in
      try host.startDumping(
        secret.environment + [Installation.binary()] + arguments + secret.arguments + ["-v"],
        in: directory)
    }
    for program in programs { try program.waitForText(" ready: ") }
    let app = try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
    _ = try Tunnel.join(app, target)
  }
}

extension Host {
  /// Starts a program as the ordinary user, in a directory, with core files of any size allowed.
  /// Settings of the environment may stand before the program.
  fileprivate func startDumping(_ command: [String], in directory: String) throws -> ChildProcess {
    let shell = "ulimit -c unlimited; cd \"$0\"; exec env \"$@\""
    return try ChildProcess(commandLineForUser(["sh", "-c", shell, directory] + command))
  }
}
