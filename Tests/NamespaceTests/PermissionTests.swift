// What the program needs of the system, and what it says where it does not get it.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct PermissionTests {
    @Test(arguments: ["server", "client"])
    func withoutCapabilitiesItSaysHowToGrantThem(role: String) async throws {
      try await withTwoHosts { client, server in
        let arguments =
          role == "server" ? try Tunnel.serverArguments() : try Tunnel.clientArguments(to: server)
        let (status, _, errors) = try client.runRsock(arguments, grant: .none)
        #expect(status == .exited(77), "\(errors)")
        #expect(errors.isOneSentence && errors.contains("setcap"), "\(errors)")
        #expect(try client.run("nft", "list", "ruleset") == "")
        #expect(try client.run("ss", "-Hlntu") == "")
      }
    }

    @Test func withTheRawCapabilityAloneItRunsOnItsGuards() async throws {
      try await withTwoHosts { client, server in
        let capture = try Capture(in: server.namespace, CaptureJudge())
        var options = Tunnel.Options()
        options.grant = .rawOnly
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 1000, rate: 2000, count: 4000)
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        let judge = try capture.finish()
        #expect(judge.resets == 0, "\(judge)")
        for (host, process) in [(client, tunnel.client), (server, tunnel.server)] {
          #expect(try host.run("nft", "list", "ruleset") == "")
          let mentions = process.errors.split(separator: "\n").filter {
            $0.contains("CAP_NET_ADMIN") || $0.contains("cap_net_admin")
          }
          #expect(!mentions.isEmpty, "\(process.errors)")
          #expect(Set(mentions).count == mentions.count, "said once: \(process.errors)")
        }
        try tunnel.stop()
      }
    }

    @Test func anOrdinaryUserMayServePrivilegedPorts() async throws {
      try await withTwoHosts { client, server in
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(ports: "80,443"))
        #expect(try tunnel.server.userID() == Installation.user)
        let listening = try server.run("ss", "-Hlnt")
        #expect(listening.contains(":80 ") && listening.contains(":443 "), "\(listening)")
        try tunnel.stop()
      }
    }

    @Test func itKeepsOnlyWhatItNeedsLater() async throws {
      try await withTwoHosts { client, server in
        let tunnel = try Tunnel(from: client, to: server)
        for process in [tunnel.client, tunnel.server] {
          let status = try process.status()
          #expect(status["NoNewPrivs"] == "1")
          let permitted = UInt64(try #require(status["CapPrm"]), radix: 16)
          // CAP_NET_BIND_SERVICE is bit 10, CAP_NET_ADMIN 12, CAP_NET_RAW 13 (capability.h).
          #expect(permitted.map { $0 & ~(1 << 10 | 1 << 12 | 1 << 13) } == 0)
          #expect(try run("stat", "-c", "%u", "/proc/\(process.pid)/mem") == "0\n", "dumpable")
        }
        let serving = UInt64(try #require(try tunnel.server.status()["CapPrm"]), radix: 16)
        #expect(serving.map { $0 & (1 << 10) } == 0, "the server has bound its ports")
        try tunnel.stop()
      }
    }

    @Test func onANosuidMountItNamesTheMount() async throws {
      try await withTwoHosts { client, server in
        let directory = try Installation.directory.get() + "/nosuid"
        let copy = "\(directory)/rsock"
        let user = try client.commandLineForUser([copy] + Tunnel.clientArguments(to: server))
        // `ip netns exec` gives the shell a mount namespace, which takes the mount with it.
        let inner = user.drop { $0 != "nice" }.joined(separator: " ")
        let process = try client.start(
          "sh", "-c",
          """
          mkdir -p \(directory) && mount -t tmpfs -o nosuid none \(directory) &&
          cp \(try Installation.binary(.none)) \(copy) && setcap \(Grant.all.rawValue) \(copy) &&
          chmod 755 \(directory) && exec \(inner)
          """)
        #expect(try process.wait(atMost: .seconds(5)) == .exited(77), "\(process.errors)")
        #expect(process.errors.isOneSentence, "\(process.errors)")
        #expect(process.errors.contains("nosuid"), "\(process.errors)")
      }
    }
  }
}

extension String {
  /// Whether it is one line that says something.
  var isOneSentence: Bool {
    let lines = split(separator: "\n", omittingEmptySubsequences: false)
    return lines.count == 2 && !lines[0].isEmpty && lines[1].isEmpty
  }
}
