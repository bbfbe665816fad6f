// rsock on a router leaves alone what the router only forwards, by every kind of tunnel.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(2))) struct RouterTests {
    @Test func aClientOnTheRouterLeavesForwardedConnectionsAlone() async throws {
      try await withEveryKindOnTheRouter { kind, client, router, server in
        var options = kind.options
        options.ports = "443"
        let program = try router.host.startRsock(Tunnel.clientArguments(to: server, options))
        try expectForwarding(from: client, to: server, port: 443, kind.family)
        #expect(program.isRunning, "\(program.errors)")
        #expect(try program.terminate() == .exited(0))
      }
    }

    @Test func aServerOnTheRouterLeavesForwardedConnectionsAlone() async throws {
      try await withEveryKindOnTheRouter { kind, client, router, server in
        var options = kind.options
        options.ports = "443"
        let program = try router.host.startRsock(Tunnel.serverArguments(options))
        try program.waitForText("server ready")
        try expectForwarding(from: client, to: server, port: 443, kind.family)
        #expect(try program.terminate() == .exited(0))
      }
    }
  }
}

private func withEveryKindOnTheRouter(
  _ body:
    @escaping @Sendable (TunnelKind, _ client: Host, _ router: Router, _ server: Host) throws ->
    Void
) async throws {
  try await withEveryKind { kind in try await withRoutedHosts { try body(kind, $0, $1, $2) } }
}

/// Moves a megabyte from `client` to a TCP server on `server` and compares it. Each connection's bytes
/// go to a file of their own: a client on the router connects to that server too.
private func expectForwarding(
  from client: Host, to server: Host, port: Int, _ family: AddressFamily
) throws {
  let directory = try Installation.directory.get()
  let sent = "\(directory)/forwarded-\(server.namespace.name)"
  let received = "\(directory)/\(server.namespace.name)-"
  let (suffix, name) = family == .ipv4 ? ("4", "\(server.address)") : ("6", "[\(server.address6)]")
  try run("dd", "if=/dev/urandom", "of=\(sent)", "bs=1M", "count=1", "status=none")
  let listener = try server.start(
    "socat", "-u", "TCP\(suffix)-LISTEN:\(port),fork", "SYSTEM:exec cat >\(received)$$")
  try wait(for: "the listener") { try server.run("ss", "-lnt").contains(":\(port) ") }
  // Long enough for the program on the router to have its rules and to have dialled.
  for _ in 0..<5 {
    try client.run(
      "socat", "-u", "OPEN:\(sent)", "TCP\(suffix):\(name):\(port),connect-timeout=5")
    try wait(for: "the megabyte") {
      try run(
        "sh", "-c", "for f in \(received)*; do cmp -s \(sent) $f && rm $f && echo same; done; :")
        == "same\n"
    }
    try pause(.milliseconds(300))
  }
  listener.killNow()
}
