// --daemon=1: in the background, with a pid file that keeps a second one out.

import Glibc
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct DaemonTests {
    @Test func runsInTheBackgroundAndRefusesASecondByName() async throws {
      try await withTwoHosts { client, server in
        let serverPID = try expectDaemon(
          server, Tunnel.serverArguments() + ["--daemon=1"], name: "server-10001")
        let clientPID = try expectDaemon(
          client, Tunnel.clientArguments(to: server) + ["--daemon=1"], name: "client-30000")
        let target = try UDPSocket(in: server.namespace, local: Tunnel.exit)
        let app = try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
        _ = try Tunnel.join(app, target)
        for (host, pid, name) in [
          (client, clientPID, "client-30000"), (server, serverPID, "server-10001"),
        ] {
          kill(pid, SIGTERM)
          try wait(for: "the daemon's end") { kill(pid, 0) != 0 }
          #expect(try host.runtimeFiles().allSatisfy { !$0.contains(name) })
        }
      }
    }
  }
}

/// Starts a daemon, then a second one that must be refused; returns the first one's pid.
private func expectDaemon(_ host: Host, _ arguments: [String], name: String) throws -> pid_t {
  let (status, _, errors) = try host.runRsock(arguments)
  #expect(status == .exited(0), "\(errors)")
  let file = try #require(try host.runtimeFiles().first { $0.contains(name) })
  let text = try textOfFile(file)
  let pid = try #require(pid_t(text.prefix { $0 != "\n" }), "\(text)")
  #expect(kill(pid, 0) == 0)
  let second = try host.runRsock(arguments)
  #expect(second.status == .exited(1), "\(second.errors)")
  #expect(second.errors.isOneSentence, "\(second.errors)")
  let port = name.drop { $0 != "-" }.dropFirst()
  #expect(second.errors.contains(port) && second.errors.contains("\(pid)"), "\(second.errors)")
  return pid
}
