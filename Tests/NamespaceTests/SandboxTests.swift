// The program confines itself once it runs, and goes on with all that it does.

import Glibc
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct SandboxTests {
    @Test func itIsConfinedAndLeavesNoCore() async throws {
      try await withTwoHosts { client, server in
        let tunnel = try Tunnel(from: client, to: server)
        for process in [tunnel.client, tunnel.server] {
          let status = try process.status()
          #expect(status["Seccomp"] == "2" && status["NoNewPrivs"] == "1", "\(status)")
          // CAP_NET_ADMIN alone, bit 12 (capability.h).
          for set in ["CapPrm", "CapEff"] { #expect(status[set] == "0000000000001000") }
          for set in ["CapInh", "CapAmb"] { #expect(status[set] == "0000000000000000") }
          let limits = try textOfFile("/proc/\(process.pid)/limits").split(separator: "\n")
          let core = limits.first { $0.hasPrefix("Max core file size") }
          #expect(core?.split(separator: " ").dropFirst(4).prefix(2) == ["0", "0"], "\(limits)")
        }
        try tunnel.stop()
      }
    }

    @Test func withoutASandboxItSaysSoOnce() async throws {
      try await withTwoHosts { client, server in
        var options = Tunnel.Options()
        options.common = ["--no-sandbox"]
        let tunnel = try Tunnel(from: client, to: server, options)
        for process in [tunnel.client, tunnel.server] {
          let status = try process.status()
          #expect(status["Seccomp"] == "0" && status["NoNewPrivs"] == "1", "\(status)")
          #expect(status["CapPrm"] == "0000000000001000")
          let lines = process.errors.split(separator: "\n").filter { $0.contains("sandbox") }
          #expect(lines.count == 1 && lines[0].contains(" warning: "), "\(process.errors)")
        }
        try tunnel.stop()
      }
    }

    @Test(arguments: ["auto", "raw"])
    func itGoesOnThroughAllThatHappens(transmit: String) async throws {
      try await withTwoHosts { client, server in
        let pair = try Pair(client, server, ["--tx=\(transmit)", "-v"])
        try pair.exchange(flows: 3)
        try pair.rotateLogs()
        for host in [client, server] {
          try host.setLink(up: false)
          try host.setLink(up: true)
          try host.run("ip", "address", "add", "10.78.0.9/24", "dev", Host.interface)
          try host.run("ip", "address", "delete", "10.78.0.9/24", "dev", Host.interface)
          try host.run("nft", "add", "table", "inet", "another")
          try host.run("nft", "flush", "ruleset")
        }
        for process in pair.programs {
          process.signal(SIGSTOP)
          process.signal(SIGCONT)
        }
        try pair.exchange(flows: 3)
        try pair.stop()
      }
    }

    /// New channels: source ports, guards, elements of the ruleset.
    @Test func itDialsAnew() async throws {
      try await withTwoHosts { client, server in
        let tunnel = try Tunnel(from: client, to: server)
        tunnel.server.killNow()
        let successor = try server.startRsock(Tunnel.serverArguments())
        let app = try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
        _ = try Tunnel.join(app, tunnel.target)
        for process in [tunnel.client, successor] {
          #expect(try process.status()["Seccomp"] == "2")
          #expect(try process.terminate() == .exited(0), "\(process.errors)")
        }
      }
    }

    @Test(arguments: [true, false])
    func aLogThatLeadsElsewhereIsNotOpened(isSandboxed: Bool) async throws {
      try await withTwoHosts { _, server in
        let (log, elsewhere) = (try userDirectory("log"), try userDirectory("elsewhere"))
        let options = ["--log=\(log)/log"] + (isSandboxed ? [] : ["--no-sandbox"])
        let program = try server.startRsock(Tunnel.serverArguments() + options)
        try wait(for: "the start") {
          try run("ls", log) != "" && textOfFile("\(log)/log").contains("server ready")
        }
        try run("mv", "\(log)/log", "\(log)/log.1")
        try run("ln", "-s", "\(elsewhere)/log", "\(log)/log")
        program.signal(SIGHUP)
        try wait(for: "SIGHUP's effect") {
          let isOpen = try run("ls", elsewhere) == "log\n"
          let isDenied = try textOfFile("\(log)/log.1").contains("/log\": Permission denied")
          return isSandboxed ? isDenied : isOpen
        }
        #expect(try run("ls", elsewhere) == (isSandboxed ? "" : "log\n"))
        #expect(try program.terminate() == .exited(0))
      }
    }

    /// Which system call is missing, and the line that tells.
    static let missing = [
      (
        "landlock_create_ruleset", 444,
        " debug: guard files with Landlock: Function not implemented. "
          + "The user's own permissions guard the files\n"
      ),
      (
        "seccomp", 317,
        " warning: filter system calls with seccomp: Function not implemented. "
          + "rsock runs without a filter of its system calls\n"
      ),
    ]

    #if arch(x86_64)
      @Test(arguments: missing)
      func anOldKernelIsNoObstacle(name: String, number: Int, line: String) async throws {
        try await withTwoHosts { _, server in
          let tests = try run("readlink", "/proc/\(getpid())/exe")
          let probe = tests[...tests.lastIndex(of: "/")!] + "SandboxProbe"
          let program = try ChildProcess(
            server.namespace.commandLine(
              ["env", "RUNTIME_DIRECTORY=\(try userDirectory("run"))", String(probe)]
                + ["without", "\(number)", try Installation.binary()]
                + Tunnel.serverArguments() + ["-v"]))
          try program.waitForText("server ready")
          #expect(program.errors.contains(line), "\(program.errors)")
          #expect(try program.terminate() == .exited(0), "\(program.errors)")
        }
      }
    #endif
  }
}

/// A client and a server that log to files, and the apps at both ends.
private struct Pair {
  let client: Host
  let server: Host
  let programs: [ChildProcess]
  let logs: [String]
  let target: UDPSocket

  init(_ client: Host, _ server: Host, _ options: [String]) throws {
    self.client = client
    self.server = server
    logs = [try userDirectory("client-log"), try userDirectory("server-log")]
    target = try UDPSocket(in: server.namespace, local: Tunnel.exit)
    programs = [
      try client.startRsock(
        Tunnel.clientArguments(to: server) + options + ["--log=\(logs[0])/log"]),
      try server.startRsock(Tunnel.serverArguments() + options + ["--log=\(logs[1])/log"]),
    ]
  }

  /// Datagrams both ways over so many flows that are new.
  func exchange(flows: Int) throws {
    for _ in 0..<flows {
      _ = try Tunnel.join(try UDPSocket(in: client.namespace, remote: Tunnel.entrance), target)
    }
  }

  /// Moves the logs away, and has new ones opened.
  func rotateLogs() throws {
    for log in logs { try run("mv", "\(log)/log", "\(log)/log.1") }
    for program in programs { program.signal(SIGHUP) }
    for log in logs { try wait(for: "a new log") { try run("ls", log) == "log\nlog.1\n" } }
  }

  /// Ends both; what they say last is in the new logs, and their pid files are gone.
  func stop() throws {
    for (program, log) in zip(programs, logs) {
      #expect(try program.terminate() == .exited(0), "\(program.errors)")
      let text = try textOfFile("\(log)/log")
      #expect(text.contains("stopped: ") && !text.contains("error: "), "\(text)")
    }
    for host in [client, server] { #expect(try host.runtimeFiles() == []) }
  }
}

/// An empty directory of the ordinary user.
private func userDirectory(_ name: String) throws -> String {
  let path = try run("mktemp", "-d", "\(Installation.directory.get())/\(name)-XXXXXX")
    .split(separator: "\n").joined()
  try run("chown", "\(Installation.user):\(Installation.user)", path)
  return path
}
