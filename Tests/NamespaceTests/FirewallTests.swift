// The program's nftables table and sockets: others cannot remove them, and nothing stays behind. The
// table knows nothing of keys, but a flushed one would show in sealed traffic as in plain.

import Glibc
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct FirewallTests {
    @Test func flushingTheRulesetChangesNothing() async throws {
      try await withEveryKind { kind, client, server in
        let tunnel = try Tunnel(from: client, to: server, kind.options)
        let (table, needsIt) = ("rsock-\(tunnel.server.pid)", kind.type != "udp")
        #expect(try server.run("nft", "list", "ruleset").contains(table) == needsIt)
        let load = Load(size: 1000, rate: 500, duration: .seconds(3))
        let flusher = Background {
          do {
            for _ in 0..<5 {
              try pause(.milliseconds(300))
              try client.run("nft", "flush", "ruleset")
              try server.run("nft", "flush", "ruleset")
            }
            return ""
          } catch { return "\(error)" }
        }
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(flusher.join() == "")
        #expect(
          up.isComplete(load) && down.isComplete(load), "\(kind.testDescription): \(up) \(down)")
        #expect(try server.run("nft", "list", "ruleset").contains(table) == needsIt)
        try tunnel.stop()
      }
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGUSR1, SIGKILL])
    func nothingIsLeftBehind(signal: Int32) async throws {
      try await withEveryKind { kind, client, server in
        let options = kind.options
        try end(Tunnel(from: client, to: server, options), by: signal)
        for host in [client, server] {
          #expect(try host.run("nft", "list", "ruleset") == "")
          #expect(try host.run("ss", "-Hlntu", "sport", ">=", ":10000") == "")
        }
        let start = now()
        let second = try Tunnel(from: client, to: server, options)
        #expect(now() - start < .seconds(2), "\(kind.testDescription): a new start works at once")
        try second.stop()
      }
    }
  }
}

func end(_ tunnel: consuming Tunnel, by signal: Int32) throws {
  for process in [tunnel.client, tunnel.server] {
    process.signal(signal)
    let status = try process.wait(atMost: .seconds(5))
    #expect(status == (signal == SIGKILL ? .killed(SIGKILL) : .exited(0)), "\(process.errors)")
  }
}
