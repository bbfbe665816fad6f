// Names in --taddr: looked up by a process of its own, and followed.

import Glibc
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(2))) struct NameTests {
    @Test func namesAreLookedUpOnceTheyAreThere() async throws {
      try await withTwoHosts { client, server in
        let names = try Names(of: client, server)
        defer { names.remove() }
        let target = try UDPSocket(in: server.namespace, local: Tunnel.exit)
        let serving = try server.startRsock(["server", "-t", "app.test:9999"])
        let program = try client.startRsock([
          "client", "-t", "server.test", "-l", "127.0.0.1:30000",
        ])
        try serving.waitForText("cannot find the address of app.test")
        try program.waitForText("cannot find the address of server.test")
        try serving.waitForText("server ready")
        try pause(.seconds(4))
        for process in [serving, program] {
          let warnings = process.errors.split(separator: "\n").filter { $0.contains("cannot find") }
          #expect(warnings.count == 1, "\(process.errors)")
        }
        #expect(try client.runRsock(["status"]).output.contains("address not known"))

        try names.set("\(server.address) server.test\n127.0.0.1 app.test\n")
        try program.waitForText("server.test is \(server.address)")
        try serving.waitForText("app.test is 127.0.0.1")
        let app = try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
        _ = try Tunnel.join(app, target)
        let status = try client.runRsock(["status"]).output
        #expect(status.contains("to server.test (\(server.address))"), "\(status)")
        #expect(try program.terminate() == .exited(0), "\(program.errors)")
        #expect(try serving.terminate() == .exited(0), "\(serving.errors)")
      }
    }

    /// The server moves: the client follows its name, the session goes on, and the target sees the same
    /// peer as before.
    @Test func aChangedAddressIsFollowed() async throws {
      try await withoutAndWithKey { protection, client, server in
        let names = try Names(of: client, server)
        defer { names.remove() }
        try names.set("\(server.address) server.test\n")
        let target = try UDPSocket(in: server.namespace, local: Tunnel.exit)
        let options = Tunnel.Options(protection)
        let serving = try server.startRsock(Tunnel.serverArguments(options))
        try serving.waitForText("server ready")
        var arguments = try Tunnel.clientArguments(to: server, options)
        arguments[2] = "server.test"
        let program = try client.startRsock(arguments)
        let app = try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
        let flow = try Tunnel.join(app, target)

        // In this order, or the second address of the network would go with the first.
        try server.run("ip", "address", "del", "\(server.address)/24", "dev", Host.interface)
        try server.run("ip", "address", "add", "10.77.1.3/24", "dev", Host.interface)
        try names.set("10.77.1.3 server.test\n")
        // An idle client asks less often whether it is heard.
        try wait(for: "the new address", atMost: .seconds(20)) {
          try app.send([0])
          return program.errors.contains("server.test is 10.77.1.3 now")
        }
        // What the server sends by the old address before it knows better is lost.
        var later: Endpoint?
        try wait(for: "an answer") {
          later = try? Tunnel.join(app, target)
          return later != nil
        }
        #expect(later == flow)
        let status = try client.runRsock(["status"]).output
        #expect(status.contains("10.77.1.3:10001"), "\(status)")
        #expect(try program.terminate() == .exited(0), "\(program.errors)")
        #expect(try serving.terminate() == .exited(0), "\(serving.errors)")
      }
    }

    /// Of two addresses the first one is dead.
    @Test func eachAddressHasItsTurn() async throws {
      try await withTwoHosts { client, server in
        let names = try Names(of: client, server)
        defer { names.remove() }
        try names.set("10.77.1.99 server.test\n\(server.address) server.test\n")
        let target = try UDPSocket(in: server.namespace, local: Tunnel.exit)
        let serving = try server.startRsock(Tunnel.serverArguments())
        let program = try client.startRsock([
          "client", "-t", "server.test", "-l", "127.0.0.1:30000",
        ])
        let app = try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
        _ = try Tunnel.join(app, target, within: .seconds(15))
        #expect(try program.terminate() == .exited(0), "\(program.errors)")
        #expect(try serving.terminate() == .exited(0), "\(serving.errors)")
      }
    }

    /// Both families; the address that the system names first is dead, or has no route.
    @Test(arguments: ["tcp", "udp"])
    func theFirstFamilyThatAnswersIsTaken(type: String) async throws {
      try await withTwoHosts { client, server in
        let names = try Names(of: client, server)
        defer { names.remove() }
        let options = Tunnel.Options(type: type)
        let target = try UDPSocket(in: server.namespace, local: Tunnel.exit)
        let serving = try server.startRsock(Tunnel.serverArguments(options))
        try serving.waitForText("server ready")
        // Of this kind the system names IPv6 first, of the other ones IPv4 (RFC 6724).
        try client.run(
          "ip", "address", "add", "2001:db8:77::1/64", "dev", Host.interface, "nodad")
        let cases: [(others: [String], address: IPAddress)] = [
          (["2001:db8:77::99", "2001:db8::1"], server.address), (["10.77.1.99"], server.address6),
        ]
        for (others, address) in cases {
          let lines = (others + ["\(address)"]).map { "\($0) server.test\n" }
          try names.set(lines.joined())
          var arguments = try Tunnel.clientArguments(to: server, options)
          arguments[2] = "server.test"
          let start = now()
          let program = try client.startRsock(arguments)
          let app = try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
          _ = try Tunnel.join(app, target)
          let time = now() - start
          #expect(time < .seconds(2), "\(time): \(program.errors)")
          #expect(program.errors.contains("server.test answers at \(address)"), "\(program.errors)")
          let status = try client.runRsock(["status"]).output
          #expect(status.contains("to server.test (\(address))"), "\(status)")
          #expect(try program.terminate() == .exited(0), "\(program.errors)")
        }
        #expect(try serving.terminate() == .exited(0), "\(serving.errors)")
      }
    }

    /// `localhost` has two addresses; the app listens at one of them.
    @Test(arguments: ["127.0.0.1", "::1"])
    func theTargetIsWhereItListens(address: String) async throws {
      try await withTwoHosts { client, server in
        let names = try Names(of: server)
        defer { names.remove() }
        try names.set("127.0.0.1 localhost\n::1 localhost\n")
        let exit = Endpoint(try #require(IPAddress(address)), 9999)
        let target = try UDPSocket(in: server.namespace, local: exit)
        let serving = try server.startRsock(["server", "-t", "localhost:9999"])
        try serving.waitForText("localhost is ")
        let program = try client.startRsock(Tunnel.clientArguments(to: server))
        let app = try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
        let flow = try Tunnel.join(app, target)
        #expect(!serving.errors.contains("refuses datagrams"), "\(serving.errors)")
        // Once something listens there, that is where flows go, whether it listens or not.
        try app.send([1])
        #expect(try target.receive()?.from == flow)
        #expect(try program.terminate() == .exited(0), "\(program.errors)")
        #expect(try serving.terminate() == .exited(0), "\(serving.errors)")
      }
    }

    /// The resolver has no capability, can gain none, and does not outlive rsock.
    @Test func theResolverHasNoPrivileges() async throws {
      try await withTwoHosts { client, server in
        let program = try client.startRsock([
          "client", "-t", "server.test", "-l", "127.0.0.1:30000",
        ])
        try program.waitForText("client ready")
        try wait(for: "the resolver") { try children(of: program.pid).count == 1 }
        let resolver = try #require(try children(of: program.pid).first)
        // Until its exec it is a copy of rsock.
        for field in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
          try wait(for: "\(field)") { try status(of: resolver, field) == "0000000000000000" }
        }
        #expect(try status(of: resolver, "NoNewPrivs") == "1")
        program.killNow()
        try wait(for: "the resolver's end") { kill(resolver, 0) != 0 }

        let next = try client.startRsock(["client", "-t", "server.test", "-l", "127.0.0.1:30000"])
        try next.waitForText("client ready")
        try wait(for: "the resolver") { try children(of: next.pid).count == 1 }
        kill(try #require(try children(of: next.pid).first), SIGKILL)
        try next.waitForText("is not looked up any more")
        #expect(try next.terminate() == .exited(0), "\(next.errors)")
      }
    }
  }
}

/// The hosts file of some hosts: `ip netns exec` puts it in the place of /etc/hosts (ip-netns(8)).
private struct Names {
  private let directories: [String]

  init(of hosts: Host...) throws {
    directories = hosts.map { "/etc/netns/\($0.namespace.name)" }
    for directory in directories {
      try run("mkdir", "-p", directory)
      try writeFile(directory + "/nsswitch.conf", "hosts: files\n")
    }
    try set("")
  }

  /// In place: what is mounted is the file, not its name.
  func set(_ text: String) throws {
    for directory in directories { try writeFile(directory + "/hosts", text) }
  }

  func remove() { _ = try? run(["rm", "-rf"] + directories) }
}

private func children(of process: pid_t) throws -> [pid_t] {
  try textOfFile("/proc/\(process)/task/\(process)/children").split(separator: " ")
    .compactMap { pid_t($0) }
}

private func status(of process: pid_t, _ field: String) throws -> String? {
  try textOfFile("/proc/\(process)/status").split(separator: "\n")
    .first { $0.hasPrefix(field + ":") }?
    .split(separator: "\t").last.map(String.init)
}
