// No key is to be seen from outside: in ps, in /proc, in a core file, in the log. Needs root, as the
// environment of a process that is not dumpable can be read by root alone.

import Glibc
import Samples
import Testing

@Suite("Secrets", .serialized) struct SecretTests {
  static let key = SettingsTests.key
  static let passphrase = "correct-horse-battery"

  static func arguments(of process: Running) -> String { contents("/proc/\(process.pid)/cmdline") }

  static let lines: [([String], String)] = [
    (["--key=\(key)"], key), (["--key", key], key), (["--hash=\(passphrase)"], passphrase),
    (["--hash", passphrase], passphrase),
  ]

  @Test("A key of the command line", arguments: lines)
  func commandLine(_ options: [String], _ secret: String) {
    let scratch = Scratch()
    let running = scratch.start("run", ["server", "-t", "127.0.0.1:9999"] + options)
    #expect(running.waits(for: "ready: "))
    let seen = Self.arguments(of: running)
    #expect(!seen.contains(secret))
    #expect(seen.hasSuffix("\(String(repeating: "x", count: secret.utf8.count))\0"))
    let log = running.end(SIGTERM).errors
    #expect(!log.contains(secret) && !log.contains("no key"))
  }

  @Test("A key behind bytes that are no text, in a word or before it") func notText() {
    let scratch = Scratch()
    let shell = """
      exec "$0" server "$(printf '\\377\\376')" "--$(printf '\\377\\376')=$1" --key "$1"
      """
    let running = Running(
      ["sh", "-c", shell, program, Self.key], environment: scratch.environment(), in: scratch, "run"
    )
    let outcome = running.end()
    #expect(outcome.status == 64)
    #expect(
      outcome.errors.hasPrefix("rsock: unknown option ") && !outcome.errors.contains(Self.key))
  }

  @Test("A key of the environment") func environment() {
    let scratch = Scratch()
    let running = scratch.start(
      "run", ["client", "-t", "192.0.2.1", "-l", "127.0.0.1:30000"],
      environment: ["RSOCK_KEY=\(Self.key)"])
    #expect(running.waits(for: "ready: "))
    let seen = contents("/proc/\(running.pid)/environ")
    #expect(seen.contains("RUNTIME_DIRECTORY=") && seen.contains("RSOCK_KEY=xxxx"))
    #expect(!seen.contains(Self.key))
    let log = running.end(SIGTERM).errors
    #expect(!log.contains(Self.key) && !log.contains("no key"))
  }

  /// Starts rsock with a key on the command line and in the environment, without a network, and
  /// with its output where `output` says.
  static func start(
    _ options: String..., output: String = "/dev/null", in scratch: borrowing Scratch
  ) -> Running {
    let shell = "ulimit -c unlimited; cd \"$RUNTIME_DIRECTORY\"; exec \"$0\" \"$@\" >\(output)"
    // A program whose crash is looked at by Swift's own means survives a signal that was sent.
    let environment = scratch.environment(["RSOCK_KEY=\(key)", "SWIFT_BACKTRACE=enable=no"])
    return Running(
      ["sh", "-c", shell, program, "server", "--key", key] + options, environment: environment,
      in: scratch, "run")
  }

  /// Whether the arguments and the environment come to be without a key, within 5 s.
  static func becomesClean(_ process: Running) -> Bool {
    for _ in 0..<500 {
      // Before that the process is the shell.
      let seen = arguments(of: process)
      if seen.hasPrefix("\(program)\0server\0--key\0xxxx"), !seen.contains(key) {
        return contents("/proc/\(process.pid)/environ").contains("RSOCK_KEY=xxxx")
      }
      usleep(10_000)
    }
    return false
  }

  @Test("A key is gone before anything is read, and no core file has it") func early() {
    let scratch = Scratch()
    // A pipe that nobody writes to holds the program where it reads its file.
    unsafe mkfifo("\(scratch.path)/pipe", 0o600)
    let wrong = Self.start("-f", "pipe", in: scratch)
    #expect(Self.becomesClean(wrong))
    _ = scratch.file("pipe", "[]")
    #expect(wrong.end().status == 64)

    let crashing = Self.start("-f", "pipe", in: scratch)
    #expect(Self.becomesClean(crashing))
    let outcome = crashing.end(SIGSEGV)
    #expect(outcome.status == 128 + SIGSEGV && !outcome.hasDumpedCore)
    // The shell does dump its core, so that the above says something.
    let line = ["sh", "-c", "ulimit -c unlimited; cd \"$RUNTIME_DIRECTORY\"; kill -SEGV $$"]
    let shell = Running(line, environment: scratch.environment(), in: scratch, "shell").end()
    #expect(shell.hasDumpedCore)
  }

  @Test("A key is gone before the help is printed") func help() {
    let scratch = Scratch()
    // A pipe that is full holds the program where it prints.
    let path = "\(scratch.path)/pipe"
    unsafe mkfifo(path, 0o600)
    let pipe = unsafe open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
    defer { close(pipe) }
    var block = [UInt8](repeating: 0, count: 4096)
    while unsafe write(pipe, &block, block.count) > 0 {}
    let running = Self.start("--help", output: "pipe", in: scratch)
    #expect(Self.becomesClean(running))
    while unsafe read(pipe, &block, block.count) > 0 {}
    #expect(running.end().status == 0)
  }
}
