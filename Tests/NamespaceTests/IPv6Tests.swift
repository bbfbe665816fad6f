// The tunnel on IPv6, and on both families at once; StrictNATTests, RecoveryTests and DeliveryTests have
// IPv6 among their arguments.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(2))) struct IPv6Tests {
    @Test(arguments: [(Offloads.on, Protection.plain), (.off, .sealed)])
    func twentyThousandASecondEachWay(offloads: Offloads, protection: Protection) async throws {
      try await expectTwentyThousandASecond(
        for: .seconds(5), Tunnel.Options(protection, .ipv6), offloads)
    }

    /// Another program's reading: every checksum is right, nothing is malformed, and each connection
    /// has one flow label each way.
    @Test func tsharkFindsNothingWrong() async throws {
      try await withTwoHosts(offloads: .off) { client, server in
        let file = try CaptureFile(at: server, to: "six.pcap")
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(.plain, .ipv6))
        let load = Load(size: 1000, rate: 500, count: 500)
        _ = try tunnel.exchange(up: load, down: load)
        try tunnel.stop()
        _ = try file.finish()
        let read = [
          "tshark", "-n", "-r", file.path, "-o", "tcp.check_checksum:TRUE", "-T", "fields", "-e",
          "tcp.checksum.status", "-e", "_ws.malformed", "-e", "ipv6.tclass", "-e", "ipv6.hlim",
          "-e",
          "ipv6.src", "-e", "ipv6.dst", "-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "ipv6.flow",
        ]
        let lines = try run(read).split(separator: "\n").map {
          $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        }
        #expect(lines.count > 200)
        for line in lines {
          #expect(line[0] == "1" && line[1].isEmpty, "\(line)")
          #expect(line[2] == "0x00000000" || line[2] == "0x00", "\(line)")
          #expect(line[3] == "64", "\(line)")
        }
        let labels = Set(lines.map { $0[4...] })
        #expect(labels.count == Set(lines.map { $0[4..<8] }).count, "one label a direction")
      }
    }

    /// One server, one set of ports; the apps and the target are on IPv6, too.
    @Test(arguments: Protection.allCases, ["tcp", "udp"])
    func clientsOfBothFamiliesAtOnce(protection: Protection, type: String) async throws {
      try await withTwoHosts { client, server in
        let loopback = IPAddress("::1")!
        let exit = Endpoint(loopback, 9999)
        let target = try UDPSocket(in: server.namespace, local: exit)
        var options = Tunnel.Options(protection, .ipv6, type: type)
        let serving = try server.startRsock(
          Tunnel.serverArguments(options).map { $0 == "\(Tunnel.exit)" ? "\(exit)" : $0 })
        try serving.waitForText("server ready")
        let six = try client.startRsock(
          Tunnel.clientArguments(to: server, options, entrance: Endpoint(.anyIPv6, 30001)))
        options.family = .ipv4
        let four = try client.startRsock(
          Tunnel.clientArguments(to: server, options, entrance: Endpoint(loopback, 30002)))
        let entrances = [
          Endpoint(loopback, 30001), Endpoint(Tunnel.entrance.address, 30001),
          Endpoint(loopback, 30002),
        ]
        let apps = try entrances.map { try UDPSocket(in: client.namespace, remote: $0) }
        var flows: [Endpoint] = []
        for app in apps { flows.append(try Tunnel.join(app, target)) }
        #expect(Set(flows).count == 3 && flows.allSatisfy { $0.address == loopback })
        for round in UInt8(0)..<50 {
          for (index, app) in apps.enumerated() {
            let bytes = [UInt8](repeating: round, count: 1 + Int(round) * 20) + [UInt8(index)]
            try app.send(bytes)
            let arrival = try #require(try target.receive(), "\(index)")
            #expect(arrival.bytes == bytes && arrival.from == flows[index])
            try target.send(bytes, to: flows[index])
            #expect(try app.receive()?.bytes == bytes)
          }
        }
        for program in [six, four, serving] {
          #expect(try program.terminate() == .exited(0), "\(program.errors)")
        }
      }
    }

    /// Endpoints are written with brackets, in the log and by `rsock status`.
    @Test func endpointsAreInBrackets() async throws {
      try await withTwoHosts { client, server in
        var options = Tunnel.Options(.plain, .ipv6, type: "all", ports: "10001")
        options.common = ["-v"]
        let tunnel = try Tunnel(from: client, to: server, options)
        let remote = "[\(server.address6)]:10001"
        let text = try client.runRsock(["status"]).output
        let healthy = text.split(separator: "\n").count {
          $0.contains(remote) && $0.contains("healthy")
        }
        #expect(healthy == 2, "\(text)")
        #expect(tunnel.client.errors.contains("[\(client.address6)]:"), "\(tunnel.client.errors)")
        let served = try server.runRsock(["status"]).output
        #expect(served.contains("[\(client.address6)]:"), "\(served)")
        try tunnel.stop()
      }
    }

    /// Renewed lifetimes, which routers send all the time, are no change; an address that goes is one.
    @Test func advertisementsChangeNothing() async throws {
      try await withTwoHosts { client, server in
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(.plain, .ipv6))
        let renew = { (lifetime: Int) in
          _ = try client.run(
            "ip", "address", "replace", "fd77:1::77/64", "dev", Host.interface, "valid_lft",
            "\(lifetime)", "preferred_lft", "\(lifetime)", "nodad")
        }
        try renew(1000)
        try pause(.seconds(1))
        let capture = try CaptureFile(at: server, to: "quiet.pcap")
        for lifetime in 1001...1005 { try renew(lifetime) }
        let packets = try CaptureFile.packets(in: try capture.finish())
        #expect(packets.isEmpty, "probes after advertisements: \(packets.count)")
        try tunnel.stop()
      }
    }
  }
}
