// rsock on a router leaves alone what the router only forwards.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct RouterTests {
    @Test func aClientOnTheRouterLeavesForwardedConnectionsAlone() async throws {
      try await withRoutedHosts { client, router, server in
        let program = try router.host.startRsock(
          ["client", "-t", "\(server.address)", "-l", "127.0.0.1:30000", "--ports=443"])
        try expectForwarding(from: client, to: server, port: 443)
        #expect(program.isRunning, "\(program.errors)")
        #expect(try program.terminate() == .exited(0))
      }
    }

    @Test func aServerOnTheRouterLeavesForwardedConnectionsAlone() async throws {
      try await withRoutedHosts { client, router, server in
        let program = try router.host.startRsock(
          ["server", "-t", "127.0.0.1:9999", "--ports=443"])
        try wait(for: "the server's port") {
          try router.host.run("ss", "-lnt").contains(":443 ")
        }
        try expectForwarding(from: client, to: server, port: 443)
        #expect(try program.terminate() == .exited(0))
      }
    }
  }
}

/// Moves a megabyte from `client` to a TCP server on `server` and compares it.
private func expectForwarding(from client: Host, to server: Host, port: Int) throws {
  let directory = try Installation.directory.get()
  let (sent, received) = ("\(directory)/forwarded", "\(directory)/arrived-\(port)")
  try run("dd", "if=/dev/urandom", "of=\(sent)", "bs=1M", "count=1", "status=none")
  let listener = try server.start(
    "socat", "-u", "TCP-LISTEN:\(port),fork", "OPEN:\(received),creat,trunc")
  try wait(for: "the listener") { try server.run("ss", "-lnt").contains(":\(port) ") }
  // Long enough for the program on the router to have its rules and to have dialled.
  for _ in 0..<5 {
    try client.run(
      "socat", "-u", "OPEN:\(sent)", "TCP:\(server.address):\(port),connect-timeout=5")
    try wait(for: "the megabyte") { (try? run("cmp", sent, received)) != nil }
    try pause(.milliseconds(300))
  }
  listener.killNow()
}
