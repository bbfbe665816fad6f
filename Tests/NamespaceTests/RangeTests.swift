// More ports than sockets can hold: rules hold them, and one socket has UDP to all of them.

import Glibc
import NamespaceSupport
import Testing
import Wire

private let range = "20000-50000"

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(2))) struct RangeTests {
    @Test(arguments: [
      ("tcp", Protection.sealed, AddressFamily.ipv4), ("tcp", .plain, .ipv6),
      ("udp", .plain, .ipv4), ("udp", .sealed, .ipv6), ("all", .sealed, .ipv4),
    ])
    func everyDatagramArrives(
      type: String, protection: Protection, family: AddressFamily
    ) async throws {
      try await withTwoHosts { client, server in
        let capture = try Capture(in: server.namespace, Ports(of: server))
        let tunnel = try Tunnel(
          from: client, to: server, Tunnel.Options(protection, family, type: type, ports: range))
        let load = Load(size: 1400, rate: 5_000, duration: .seconds(4))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load), "client to server: \(up)")
        #expect(down.isComplete(load), "server to client: \(down)")
        let seen = try capture.finish()
        #expect(seen.resets == 0 && seen.messages == 0, "\(seen)")
        #expect(seen.ports.count >= 16, "\(seen.ports)")
        #expect(seen.ports.allSatisfy { (20_000...50_000).contains($0) }, "\(seen.ports)")
        // No socket but the one for UDP.
        #expect(try server.run("ss", "-Hlnt") == "")
        let sockets = try server.run("ss", "-Hlnu", "sport", ">=", ":10000")
        #expect(sockets.split(separator: "\n").count == (type == "tcp" ? 0 : 1), "\(sockets)")
        try tunnel.stop()
        #expect(try server.run("nft", "list", "ruleset") == "")
      }
    }

    /// Not a byte for each port, and about as long to start.
    @Test func itTakesNoMoreThanAFewPorts() async throws {
      try await withTwoHosts { client, server in
        var sizes: [Int] = []
        for ports in ["20001-20006", "20000-50000"] {
          var options = Tunnel.Options(.sealed, type: "all", ports: ports)
          options.client = ["--max-channels=6"]
          let tunnel = try Tunnel(from: client, to: server, options)
          let load = Load(size: 1000, rate: 2_000, count: 2_000)
          _ = try tunnel.exchange(up: load, down: load)
          sizes.append(try tunnel.server.residentBytes())
          try tunnel.stop()
        }
        #expect(sizes[1] < sizes[0] + 1 << 20 || Installation.isSanitized, "\(sizes)")
      }
    }

    /// Other programs of the server's host, before and after the start: a service at a port of the range by
    /// TCP and one by UDP, and connections that it makes from ports of the range.
    @Test func otherProgramsKeepTheirPorts() async throws {
      try await withTwoHosts { client, server in
        var programs = [
          try serve("TCP-LISTEN:30000,reuseaddr", on: server),
          try serve("UDP-LISTEN:20000,reuseaddr", on: server),
          try serve("TCP-LISTEN:7000,reuseaddr", on: client),
        ]
        let tunnel = try Tunnel(
          from: client, to: server, Tunnel.Options(.sealed, type: "all", ports: range))
        #expect(
          tunnel.server.errors.contains("listen at 1 of the ports"), "\(tunnel.server.errors)")
        programs.append(try serve("TCP-LISTEN:40000,reuseaddr", on: server))
        programs.append(try serve("UDP-LISTEN:40000,reuseaddr", on: server))
        let capture = try Capture(in: server.namespace, Ports(of: server))
        let address = "\(server.address)"
        for round in 0..<10 {
          for service in ["TCP:\(address):30000", "TCP:\(address):40000"] {
            #expect(try echo("\(round)", from: client, by: service) == "\(round)\n", "\(service)")
          }
          for service in ["UDP:\(address):20000", "UDP:\(address):40000"] {
            #expect(try echo("\(round)", from: client, by: service) == "\(round)\n", "\(service)")
          }
          let own = "TCP:\(client.address):7000,sourceport=\(25_000 + round),reuseaddr"
          #expect(try echo("\(round)", from: server, by: own) == "\(round)\n", "\(own)")
        }
        let load = Load(size: 1400, rate: 2_000, count: 4_000)
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        let seen = try capture.finish()
        #expect(seen.resets == 0 && seen.messages == 0, "\(seen)")
        try tunnel.stop()
        for program in programs { program.killNow() }
      }
    }

    @Test(arguments: [SIGTERM, SIGKILL])
    func nothingIsLeftBehind(signal: Int32) async throws {
      try await withTwoHosts { client, server in
        try end(
          Tunnel(from: client, to: server, Tunnel.Options(.sealed, type: "all", ports: range)),
          by: signal)
        #expect(try server.run("nft", "list", "ruleset") == "")
        #expect(try server.run("ss", "-Hlntu", "sport", ">=", ":10000") == "")
        let start = now()
        let second = try Tunnel(
          from: client, to: server, Tunnel.Options(.sealed, type: "all", ports: range))
        #expect(now() - start < .seconds(2), "a new start works at once")
        try second.stop()
      }
    }

    @Test func returnsAfterARestart() async throws {
      try await together(
        [("tcp", Protection.plain), ("tcp", .sealed), ("udp", .plain), ("udp", .sealed)].map {
          type, protection in
          {
            try await restartServer(
              after: .seconds(1), Tunnel.Options(protection, type: type, ports: range))
          }
        })
    }

    /// One sentence, and nothing is left behind.
    @Test(arguments: ["tcp", "udp"])
    func withoutTheCapabilityItSaysHowManyPortsAreHeld(type: String) async throws {
      try await withTwoHosts { client, server in
        for grant in [Grant.none, .rawOnly] {
          let (status, output, errors) = try server.runRsock(
            Tunnel.serverArguments(Tunnel.Options(.sealed, type: type, ports: range)), grant: grant)
          #expect(status == .exited(77) && output == "", "\(errors)")
          #expect(errors.isOneSentence && errors.contains("setcap"), "\(errors)")
          #expect(errors.contains("--ports: 30001 ports") && errors.contains("1024"), "\(errors)")
          #expect(try server.run("nft", "list", "ruleset") == "")
          #expect(try server.run("ss", "-Hlntu") == "")
          #expect(try server.runtimeFiles() == [])
        }
      }
    }

    @Test func whatSocketsHoldNeedsNoRules() async throws {
      try await withTwoHosts { client, server in
        var options = Tunnel.Options(.sealed, ports: "20000-21023")
        options.grant = .rawOnly
        let tunnel = try Tunnel(from: client, to: server, options)
        let held = try server.run("ss", "-Hlnt").split(separator: "\n").count
        #expect(held == 2048, "each on both families: \(held)")
        try tunnel.stop()
      }
    }
  }
}

/// A program that sends back what it gets; what it does for one that is silent for 3 s ends.
private func serve(_ listener: String, on host: Host) throws -> ChildProcess {
  let program = try host.start("socat", "-T", "3", "\(listener),fork", "EXEC:cat")
  let port = listener.split(separator: ":")[1].prefix { $0 != "," }
  let kind = listener.hasPrefix("TCP") ? "-Hlnt" : "-Hlnu"
  try wait(for: listener) { try host.run("ss", kind, "sport", "=", ":\(port)") != "" }
  return program
}

/// What comes back of a line.
private func echo(_ line: String, from host: Host, by address: String) throws -> String {
  try host.run(
    "sh", "-c", "echo \(line) | timeout 3 socat -t 0.3 STDIO \(address) 2>/dev/null || true")
}

/// What a server's host sends, and the ports that it is spoken to at.
private struct Ports: PacketObserver {
  private let addresses: [IPAddress]
  /// Those in TCP and UDP to it.
  private(set) var ports: Set<UInt16> = []
  private(set) var resets = 0
  /// ICMP but for neighbour discovery.
  private(set) var messages = 0

  init(of server: Host) { addresses = [server.address, server.address6] }

  mutating func observe(_ packet: CapturedPacket, bytes: RawSpan) {
    let isIPv4 = bytes.byte(at: 0) >> 4 == 4
    let start = isIPv4 ? 20 : 40
    guard bytes.byteCount > start + 4 else { return }
    let port = UInt16(bytes.byte(at: start + 2)) << 8 | UInt16(bytes.byte(at: start + 3))
    let isToServer = addresses.contains(bytes.addresses.destination)
    switch bytes.byte(at: isIPv4 ? 9 : 6) {
    case 6, 17:
      if packet.segment?.flags.contains(.rst) == true { resets += 1 }
      let isOpening = packet.segment.map { $0.flags == .syn } ?? isToServer
      if isToServer, isOpening { ports.insert(port) }
    case 1: messages += 1
    case 58: if bytes.byte(at: start) < 133 { messages += 1 }
    default: break
    }
  }
}
