// rsock on a router leaves alone what the router only forwards. It tells by addresses and ports, before
// any key counts; so with a key too, because that takes two seconds.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct RouterTests {
    @Test(arguments: Protection.allCases)
    func aClientOnTheRouterLeavesForwardedConnectionsAlone(protection: Protection) async throws {
      try await withRoutedHosts { client, router, server in
        var options = Tunnel.Options(protection)
        options.ports = "443"
        let program = try router.host.startRsock(Tunnel.clientArguments(to: server, options))
        try expectForwarding(from: client, to: server, port: 443)
        #expect(program.isRunning, "\(program.errors)")
        #expect(try program.terminate() == .exited(0))
      }
    }

    @Test(arguments: Protection.allCases)
    func aServerOnTheRouterLeavesForwardedConnectionsAlone(protection: Protection) async throws {
      try await withRoutedHosts { client, router, server in
        var options = Tunnel.Options(protection)
        options.ports = "443"
        let program = try router.host.startRsock(Tunnel.serverArguments(options))
        try wait(for: "the server's port") {
          try router.host.run("ss", "-lnt").contains(":443 ")
        }
        try expectForwarding(from: client, to: server, port: 443)
        #expect(try program.terminate() == .exited(0))
      }
    }
  }
}

/// Moves a megabyte from `client` to a TCP server on `server` and compares it. Each connection's bytes
/// go to a file of their own: a client on the router connects to that server too.
private func expectForwarding(from client: Host, to server: Host, port: Int) throws {
  let directory = try Installation.directory.get()
  let (sent, received) = ("\(directory)/forwarded", "\(directory)/\(server.namespace.name)-")
  try run("dd", "if=/dev/urandom", "of=\(sent)", "bs=1M", "count=1", "status=none")
  let listener = try server.start(
    "socat", "-u", "TCP-LISTEN:\(port),fork", "SYSTEM:exec cat >\(received)$$")
  try wait(for: "the listener") { try server.run("ss", "-lnt").contains(":\(port) ") }
  // Long enough for the program on the router to have its rules and to have dialled.
  for _ in 0..<5 {
    try client.run(
      "socat", "-u", "OPEN:\(sent)", "TCP:\(server.address):\(port),connect-timeout=5")
    try wait(for: "the megabyte") {
      try run(
        "sh", "-c", "for f in \(received)*; do cmp -s \(sent) $f && rm $f && echo same; done; :")
        == "same\n"
    }
    try pause(.milliseconds(300))
  }
  listener.killNow()
}
