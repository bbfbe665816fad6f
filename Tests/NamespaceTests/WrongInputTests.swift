// Wrong input gives one sentence that names the option, the value and the remedy.

import Glibc
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct WrongInputTests {
    @Test func everyMistakeIsNamed() async throws {
      try await withTwoHosts { client, server in
        try client.run("ip", "link", "add", "bridge0", "type", "bridge")
        try client.run("ip", "link", "add", "port0", "type", "veth", "peer", "name", "port1")
        try client.run("ip", "link", "set", "port0", "master", "bridge0")
        for mistake in try mistakes() {
          let (status, _, errors) = try client.runRsock(mistake.arguments)
          let context: Comment = "\(mistake.arguments): \(status) \(errors)"
          #expect(status == .exited(mistake.code), context)
          #expect(errors.isOneSentence, context)
          for word in mistake.words { #expect(errors.contains(word), context) }
          #expect(!errors.contains("Usage:"), context)
        }
        #expect(try client.run("nft", "list", "ruleset") == "")
        #expect(try client.run("ss", "-Hlntu") == "")
      }
    }

    @Test func aPortInUseIsNamed() async throws {
      try await withTwoHosts { client, server in
        let other = try server.start("socat", "-u", "TCP-LISTEN:10005", "OPEN:/dev/null")
        try wait(for: "the listener") { try server.run("ss", "-lnt").contains(":10005 ") }
        let (status, _, errors) = try server.runRsock(Tunnel.serverArguments())
        #expect(status == .exited(1), "\(errors)")
        #expect(errors.isOneSentence && errors.contains("10005"), "\(errors)")
        other.killNow()

        let app = try UDPSocket(in: client.namespace, local: Tunnel.entrance)
        try withExtendedLifetime(app) {
          let second = try client.runRsock(Tunnel.clientArguments(to: server))
          #expect(second.status == .exited(1), "\(second.errors)")
          #expect(second.errors.isOneSentence && second.errors.contains("30000"))
        }
      }
    }
  }
}

private struct Mistake {
  let arguments: [String]
  let words: [String]
  let code: Int32
}

private func mistakes() throws -> [Mistake] {
  let client = ["client", "-t", "10.77.1.2", "-l", "127.0.0.1:30000"]
  let server = ["server", "-t", "127.0.0.1:9999"]
  let unreadable = try Installation.directory.get() + "/secret.json"
  try run("install", "-m", "600", "/dev/null", unreadable)
  return [
    Mistake(arguments: client + ["--dev=nosuch0"], words: ["--dev", "nosuch0"], code: 64),
    Mistake(arguments: client + ["--dev=port0"], words: ["--dev", "port0", "bridge0"], code: 64),
    Mistake(arguments: server + ["--ports=0"], words: ["--ports", "0"], code: 64),
    Mistake(arguments: server + ["--ports=70000"], words: ["--ports", "70000"], code: 64),
    Mistake(arguments: server + ["--ports=20-10"], words: ["--ports", "20-10"], code: 64),
    Mistake(arguments: client + ["--ports=20-10"], words: ["--ports", "20-10"], code: 64),
    Mistake(arguments: ["server", "-t", "127.0.0.1"], words: ["taddr", "127.0.0.1"], code: 64),
    Mistake(arguments: ["server"], words: ["taddr"], code: 64),
    Mistake(arguments: ["client", "-t", "10.77.1.2"], words: ["ludp"], code: 64),
    Mistake(
      arguments: ["client", "-t", "10.77.1.2", "-l", "127.0.0.1"], words: ["ludp", "127.0.0.1"],
      code: 64),
    Mistake(arguments: server + ["--type=quic"], words: ["--type", "quic"], code: 64),
    Mistake(arguments: server + ["--type=udp,sctp"], words: ["--type", "sctp"], code: 64),
    Mistake(arguments: server + ["--duration=5"], words: ["--duration", "5"], code: 64),
    Mistake(arguments: client + ["--schedule=best"], words: ["--schedule", "best"], code: 64),
    Mistake(
      arguments: ["server", "-f", "/nonexistent.json"], words: ["/nonexistent.json"], code: 1),
    Mistake(arguments: ["server", "-f", unreadable], words: [unreadable], code: 77),
    Mistake(
      arguments: server + ["--log=/nonexistent/rsock.log"],
      words: ["--log", "/nonexistent/rsock.log"], code: 1),
  ]
}
