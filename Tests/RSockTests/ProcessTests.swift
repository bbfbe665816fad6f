// The running program: one per port, the background, the log file. Needs root: each runs in a
// network namespace of its own.

import Glibc
import Samples
import Testing

@Suite("Process", .serialized) struct ProcessTests {
  static let server = ["server", "-t", "127.0.0.1:9999"]

  @Test("A second start on the same port is refused by name, a first after SIGKILL is not")
  func second() {
    let scratch = Scratch()
    let first = scratch.start("first", "server", "-t", "127.0.0.1:9999")
    #expect(first.waits(for: "ready: "))
    #expect(contents("\(scratch.path)/server-10001.pid") == "\(first.pid)\n")

    let second = scratch.rsock(Self.server)
    #expect(
      second.errors == "rsock: rsock server on port 10001 is already running (pid \(first.pid)). "
        + "Stop it first: kill \(first.pid)\n")
    #expect(second.status == 1)

    #expect(first.end(SIGKILL).status == 128 + SIGKILL)
    #expect(contents("\(scratch.path)/server-10001.pid") != "")
    let third = scratch.start("third", "server", "-t", "127.0.0.1:9999")
    #expect(third.waits(for: "ready: "))
    #expect(third.end(SIGTERM).status == 0)
    #expect(contents("\(scratch.path)/server-10001.pid") == "")
  }

  @Test("Each role and port has its own") func others() {
    let scratch = Scratch()
    let server = scratch.start("server", "server", "-t", "127.0.0.1:9999")
    let other = scratch.start("other", "server", "-t", "127.0.0.1:9999", "-p", "443")
    let client = scratch.start("client", "client", "-t", "192.0.2.1", "-l", "127.0.0.1:10001")
    #expect(server.waits(for: "ready: ") && other.waits(for: "ready: "))
    #expect(client.waits(for: "ready: "))
    #expect(contents("\(scratch.path)/client-10001.pid") == "\(client.pid)\n")
    for status in [server.end(SIGTERM), other.end(SIGINT), client.end(SIGUSR1)].map(\.status) {
      #expect(status == 0)
    }
  }

  @Test("More sockets than descriptors are told with what to raise") func descriptors() {
    let scratch = Scratch()
    let script = "ulimit -n 64; exec \"$0\" server -t 127.0.0.1:9999 --type=udp -p 20001-20100"
    let outcome = Running(
      ["unshare", "--net", "sh", "-c", script, program], environment: scratch.environment(),
      in: scratch, "run"
    ).end()
    #expect(
      outcome.errors.hasSuffix(
        "rsock: open UDP socket: Too many open files. Raise the hard limit (ulimit -Hn, or LimitNOFILE= of the unit)\n"
      ), "\(outcome.errors)")
    #expect(outcome.status == 1)
  }

  @Test("--daemon=1 returns once it runs; a second one reports its failure") func daemon() throws {
    let scratch = Scratch()
    let log = "\(scratch.path)/log"
    let line = ["server", "-t", "127.0.0.1:9999", "--daemon=1", "--log=log"]
    let first = scratch.start("first", line[0], line[1], line[2], line[3], line[4])
    let outcome = first.end()
    #expect(outcome.status == 0 && outcome.errors == "" && outcome.output == "")
    let text = contents("\(scratch.path)/server-10001.pid")
    let pid = try #require(Int32(text.prefix { $0 != "\n" }))
    #expect(getsid(pid) != getsid(0))
    #expect(linkTarget("/proc/\(pid)/cwd") == "/")
    for descriptor in 0...2 { #expect(linkTarget("/proc/\(pid)/fd/\(descriptor)") == "/dev/null") }

    let second = scratch.rsock(line.dropLast() + ["--log=\(log)"])
    #expect(
      second.errors.hasPrefix("rsock: rsock server on port 10001 is already running (pid \(pid))"))
    #expect(second.status == 1)

    // The log was named by a relative path, and the daemon lives in /.
    #expect(unsafe rename(log, log + ".1") == 0)
    kill(pid, SIGHUP)
    for _ in 0..<500 where unsafe access(log, F_OK) != 0 { usleep(10_000) }
    kill(pid, SIGTERM)
    for _ in 0..<500 where kill(pid, 0) == 0 { usleep(10_000) }
    #expect(kill(pid, 0) == -1)
    #expect(contents(log).contains("stopped") && contents(log + ".1").contains("ready: "))
  }

  @Test("SIGHUP opens the log anew") func reopen() {
    let scratch = Scratch()
    let log = "\(scratch.path)/log"
    let running = scratch.start("run", "server", "-t", "127.0.0.1:9999", "--log", log)
    for _ in 0..<500 where !contents(log).contains("ready: ") { usleep(10_000) }
    #expect(unsafe rename(log, log + ".1") == 0)
    kill(running.pid, SIGHUP)
    for _ in 0..<500 where unsafe access(log, F_OK) != 0 { usleep(10_000) }
    let outcome = running.end(SIGTERM)
    #expect(outcome.status == 0 && outcome.errors == "")
    #expect(contents(log).contains("stopped") && !contents(log).contains("ready: "))
    #expect(contents(log + ".1").contains("ready: "))
  }

  @Test("A start that fails says one sentence, also where it has warnings") func failure() {
    let scratch = Scratch()
    let running = scratch.start("run", "server", "-t", "127.0.0.1:9999", "--dev=nosuch0")
    let outcome = running.end()
    #expect(outcome.errors.hasPrefix("rsock: --dev: \"nosuch0\" is no network device"))
    #expect(outcome.errors.split(separator: "\n").count == 1)
    #expect(outcome.status == 64)
  }

  @Test("Warnings come first, one line each, with time and level") func warnings() throws {
    let scratch = Scratch()
    let running = scratch.start("run", "server", "-t", "127.0.0.1:9999", "--hash=hello135")
    #expect(running.waits(for: "ready: "))
    let lines = running.end(SIGTERM).errors.split(separator: "\n")
    let first = try #require(lines.first)
    let form = #/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d warning: no key: .*/#
    #expect(first.wholeMatch(of: form) != nil)
    #expect(lines.filter { $0.contains("no key") }.count == 1)
  }

  @Test("SIGHUP reads the key file again; a wrong one changes nothing") func reload() {
    let scratch = Scratch()
    let (key, other) = (SettingsTests.key, SettingsTests.otherKey)
    let path = scratch.file("keys", "laptop \(key)\n")
    unsafe chmod(path, 0o600)
    // By a relative path: a daemon lives in /.
    let running = scratch.start("run", "server", "-t", "127.0.0.1:9999", "--key-file", "keys")
    #expect(running.waits(for: "ready: "))
    _ = scratch.file("keys", "laptop \(key)\nphone \(other)\n")
    kill(running.pid, SIGHUP)
    #expect(running.waits(for: "notice: keys: 2\n"))
    _ = scratch.file("keys", "laptop \(other)\nphone \(other)\n")
    kill(running.pid, SIGHUP)
    #expect(
      running.waits(
        for: "error: the keys stay what they were. --key-file: \(path), line 2: the key is that of "
          + "line 1 too: give each client its own.\n"))
    unsafe chmod(path, 0o644)
    kill(running.pid, SIGHUP)
    #expect(running.waits(for: "--key-file: \(path) is open to all users (mode 0644)"))
    let outcome = running.end(SIGTERM)
    #expect(outcome.status == 0)
    for text in [key, other, "no key"] { #expect(!outcome.errors.contains(text)) }
  }

  @Test("A server without a key file does not mind SIGHUP") func noKeyFile() {
    let scratch = Scratch()
    let running = scratch.start("run", "server", "-t", "127.0.0.1:9999", "--key", SettingsTests.key)
    #expect(running.waits(for: "ready: "))
    kill(running.pid, SIGHUP)
    let outcome = running.end(SIGTERM)
    #expect(outcome.status == 0 && !outcome.errors.contains("keys"))
  }
}

private func linkTarget(_ path: String) -> String {
  var target = [CChar](repeating: 0, count: 4096)
  let count = unsafe readlink(path, &target, target.count)
  return String(decoding: target[..<max(count, 0)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
