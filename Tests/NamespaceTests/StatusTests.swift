// rsock status, reconnect and stop, and the control socket behind them.

import FoundationEssentials
import Glibc
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(2))) struct StatusTests {
    /// What status says, what a capture saw and what the load generator sent and got: the same, to the
    /// packet.
    @Test(arguments: Protection.allCases)
    func countersAgreeWithTheWire(protection: Protection) async throws {
      try await withTwoHosts(offloads: .off) { client, server in
        let capture = try Capture(in: server.namespace, ChannelTally())
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(protection))
        let before = (try client.status(), try server.status())
        let load = Load(size: 1200, rate: 4_000, duration: .seconds(2))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        // The last acknowledgments are out after 200 ms, and the next keepalive is seconds away.
        try pause(.milliseconds(600))
        let after = (try client.status(), try server.status())
        let seen = capture.current

        #expect(after.0.datagramsSent - before.0.datagramsSent == UInt64(up.sent))
        #expect(after.1.datagramsReceived - before.1.datagramsReceived == UInt64(up.received))
        #expect(after.1.datagramsSent - before.1.datagramsSent == UInt64(down.sent))
        #expect(after.0.datagramsReceived - before.0.datagramsReceived == UInt64(down.received))
        #expect(after.0.notSent + after.0.notDelivered + after.0.notReceived == 0)
        #expect(after.1.notSent + after.1.notDelivered + after.1.notReceived == 0)
        #expect(after.0.drops == [:] && after.1.drops == [:], "\(after)")

        let channels = after.0.sessions[0].channels
        let others = after.1.sessions[0].channels
        #expect(channels.count == 10 && others.count == 10)
        for channel in channels {
          let other = try #require(others.first { $0.id == channel.id })
          #expect(channel.local == other.remote && channel.remote == other.local)
          #expect(channel.sent == other.received, "\(channel) \(other)")
          #expect(channel.received == other.sent, "\(channel) \(other)")
          let upward = seen.sums["\(channel.local) \(channel.remote)"]
          #expect(upward?.segments == channel.sent.segments, "\(channel)")
          #expect(upward?.bytes == channel.sent.bytes, "\(channel)")
          let downward = seen.sums["\(other.local) \(other.remote)"]
          #expect(downward?.segments == other.sent.segments, "\(other)")
          #expect(downward?.bytes == other.sent.bytes, "\(other)")
        }
        let datagrams = channels.map(\.sent.datagrams).reduce(0, +)
        #expect(datagrams == after.0.datagramsSent)
        #expect(abs(channels.map(\.share).reduce(0, +) - 1) < 0.01, "\(channels)")
        let losses = channels.compactMap(\.loss)
        #expect(!losses.isEmpty && losses.allSatisfy { $0 == 0 }, "\(channels)")
        _ = try capture.finish()
        try tunnel.stop()
      }
    }

    /// The same where the kernel cuts and merges: both ends count segments, not what it made of them.
    @Test func endsAgreeWithOffloads() async throws {
      try await withTwoHosts { client, server in
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(.sealed))
        let load = Load(size: 1400, rate: 10_000, duration: .seconds(2))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        try pause(.milliseconds(600))
        let (one, two) = (try client.status(), try server.status())
        for channel in one.sessions[0].channels {
          let other = try #require(two.sessions[0].channels.first { $0.id == channel.id })
          #expect(channel.sent == other.received, "\(channel) \(other)")
          #expect(channel.received == other.sent, "\(channel) \(other)")
        }
        try tunnel.stop()
      }
    }

    @Test func reconnectLosesNothing() async throws {
      try await withoutAndWithKey { protection, client, server in
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(protection))
        let before = Set(try client.status().sessions[0].channels.map(\.local))
        try tunnel.target.connect(to: tunnel.flow)
        let load = Load(size: 500, rate: 1_000, duration: .seconds(4))
        let up = try Stream(load, from: tunnel.app, to: tunnel.target)
        let down = try Stream(load, from: tunnel.target, to: tunnel.app)
        try pause(.milliseconds(500))
        let (status, output, errors) = try client.runRsock(["reconnect"])
        #expect(status == .exited(0) && output == "" && errors == "")
        let receipts = (try up.finish(), try down.finish())
        #expect(receipts.0.isComplete(load) && receipts.1.isComplete(load), "\(receipts)")
        let after = Set(
          try client.status().sessions[0].channels.filter { $0.state == "healthy" }.map(\.local))
        #expect(after.count == 10 && after.isDisjoint(with: before))

        let refused = try server.runRsock(["reconnect"])
        #expect(refused.status == .exited(1))
        #expect(refused.errors.isOneSentence && refused.errors.contains("only a client"))
        try tunnel.stop()
      }
    }

    @Test func stopEndsCleanly() async throws {
      try await withTwoHosts { client, server in
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(.sealed))
        for (host, process) in [(client, tunnel.client), (server, tunnel.server)] {
          #expect(try host.sockets().count == 1)
          let (status, output, errors) = try host.runRsock(["stop"])
          #expect(status == .exited(0) && output == "" && errors == "")
          #expect(try process.wait(atMost: .seconds(1)) == .exited(0))
          #expect(process.errors.contains("stopped: "))
          #expect(try host.sockets().isEmpty && host.runtimeFiles().isEmpty)
          #expect(try host.run("nft", "list", "ruleset") == "")
        }
        let nobody = try client.runRsock(["status"])
        #expect(nobody.status == .exited(1) && nobody.errors.isOneSentence)
      }
    }

    /// Of several, `status` shows all and `stop` asks which.
    @Test func severalAreToldApart() async throws {
      try await withTwoHosts { client, server in
        let tunnel = try Tunnel(from: client, to: server)
        let entrance = Endpoint(Tunnel.entrance.address, 30001)
        let second = try client.startRsock(Tunnel.clientArguments(to: server, entrance: entrance))
        try second.waitForText("connected to")
        let (status, output, errors) = try client.runRsock(["status"])
        #expect(status == .exited(0) && errors == "")
        #expect(output.contains("client at 127.0.0.1:30000") && output.contains(":30001,"))
        #expect(output.contains("no key: what the tunnel carries can be read"))
        #expect(output.split(separator: "\n").allSatisfy { $0.count <= 100 })
        let which = try client.runRsock(["stop"])
        #expect(which.status == .exited(64) && which.errors.isOneSentence, "\(which.errors)")
        #expect(which.errors.contains("client-30000.sock or --control="))
        let path = try #require(try client.sockets().first { $0.contains("30001") })
        #expect(try client.runRsock(["stop", "--control=\(path)"]).status == .exited(0))
        #expect(try second.wait(atMost: .seconds(1)) == .exited(0))
        // Only one is left.
        #expect(try client.runRsock(["stop"]).status == .exited(0))
        #expect(try tunnel.client.wait(atMost: .seconds(1)) == .exited(0))
        #expect(try server.runRsock(["stop"]).status == .exited(0))
      }
    }

    @Test func aKilledOneLeavesASocketThatTheNextReplaces() async throws {
      try await withTwoHosts { client, server in
        let process = try server.startRsock(Tunnel.serverArguments())
        try process.waitForText("server ready")
        let path = try #require(try server.sockets().first)
        process.killNow()
        #expect(try server.sockets() == [path])
        let dead = try server.runRsock(["status"])
        #expect(dead.status == .exited(1) && dead.errors.contains("has ended"), "\(dead.errors)")
        let next = try server.startRsock(Tunnel.serverArguments())
        try next.waitForText("server ready")
        #expect(try server.runRsock(["status"]).status == .exited(0))

        // Another one is not given a socket that is in use, and takes nothing away from it.
        let other = try server.runRsock(
          ["server", "-t", "127.0.0.1:9999", "-p", "20001", "--control=\(path)"])
        #expect(other.status == .exited(1) && other.errors.isOneSentence, "\(other.errors)")
        #expect(other.errors.contains(path) && other.errors.contains("answers there"))
        #expect(try server.runRsock(["status"]).status == .exited(0))
        let file = try #require(try server.runtimeFiles().first)
        let wrong = try server.runRsock(
          ["server", "-t", "127.0.0.1:9999", "-p", "20001", "--control=\(file)"])
        #expect(wrong.status == .exited(1) && wrong.errors.contains("It is no socket"))
        #expect(try next.terminate() == .exited(0))
        #expect(try server.sockets().isEmpty)
      }
    }

    /// Another user is refused by the file's mode, and where somebody changed that, by rsock itself.
    @Test func anotherUserIsRefused() async throws {
      try await withTwoHosts { client, server in
        let directory = try Installation.directory.get() + "/open-\(server.namespace.name)"
        let user = "\(Installation.user)"
        try run("install", "-d", "-m", "755", "-o", user, "-g", user, directory)
        let path = directory + "/rsock.sock"
        let process = try server.startRsock(Tunnel.serverArguments() + ["--control=\(path)"])
        try process.waitForText("server ready")
        #expect(try run("stat", "-c", "%a", path) == "600\n")

        let line = try server.namespace.commandLine([
          "setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", Installation.binary(),
          "status", "--control=\(path)",
        ])
        for mode in ["600", "666"] {
          try run("chmod", mode, path)
          let other = try ChildProcess(line)
          #expect(other.wait() == .exited(77))
          #expect(other.output == "" && other.errors.isOneSentence, "\(other.errors)")
          #expect(other.errors.contains("belongs to another user"))
        }
        let raw = try ChildProcess([
          "setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "sh", "-c",
          "echo '{\"request\":\"stop\"}' | socat -t 2 - UNIX-CONNECT:\(path)",
        ])
        raw.wait()
        #expect(raw.output == "")
        let root = try run(Installation.binary(), "status", "--control=\(path)")
        #expect(root.contains("server on ports 10001-10010"))
        #expect(process.isRunning)
        #expect(try process.terminate() == .exited(0))
        #expect(try run("ls", directory) == "")
      }
    }

    /// Askers who send garbage, endless lines or never read hold up neither datagrams nor other askers,
    /// and cost no memory.
    @Test func badAskersHoldNothingUp() async throws {
      try await withTwoHosts { client, server in
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(.sealed))
        let path = try #require(try client.sockets().first)
        let memory = try tunnel.client.residentBytes()
        let asking = Background {
          let request = Array("{\"request\":\"status\"}\n".utf8)
          let garbage = [UInt8](repeating: UInt8(ascii: "["), count: 4096)
          var askers: [OpenFile] = []
          for round in 0..<200 {
            guard let asker = try? OpenFile(connectedTo: path) else { continue }
            // As many requests as the socket takes; no answer is read.
            for _ in 0..<500 where !asker.write(round % 2 == 0 ? request : garbage) { break }
            askers.append(asker)
            if askers.count > 16 { askers.removeFirst() }
            try? pause(.milliseconds(10))
          }
          return askers
        }
        let load = Load(size: 1000, rate: 2_000, duration: .seconds(3))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        let askers = asking.join()
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        #expect(askers.count == 16)
        #expect(try client.status().sessions[0].channels.count == 10)
        let growth = try tunnel.client.residentBytes() - memory
        #expect(growth < 4 << 20 || Installation.isSanitized, "the client grew by \(growth) bytes")
        withExtendedLifetime(askers) {}
        try tunnel.stop()
      }
    }
  }
}

/// What `rsock status --json` says, as far as these tests look at it.
struct StatusReport: Decodable {
  struct Sums: Decodable, Hashable {
    var segments: UInt64
    var bytes: UInt64
    var datagrams: UInt64
  }
  struct Channel: Decodable {
    var id: UInt32
    var carrier: String
    var local: String
    var remote: String
    var state: String
    var proxied: Bool?
    var loss: Double?
    var share: Double
    var sent: Sums
    var received: Sums
  }
  struct Session: Decodable {
    var channels: [Channel]
  }
  struct Programs: Decodable {
    var programs: [StatusReport]
  }
  var channelsOpened: Int
  var datagramsSent: UInt64
  var datagramsReceived: UInt64
  var notSent: Int
  var notDelivered: Int
  var notReceived: Int
  var drops: [String: Int]
  var sessions: [Session]
}

extension Host {
  /// What the one rsock that runs here says of itself.
  func status() throws -> StatusReport {
    let (status, output, errors) = try runRsock(["status", "--json"])
    guard status == .exited(0) else { throw Failure("\(status): \(errors)") }
    let all = try JSONDecoder().decode(StatusReport.Programs.self, from: Data(output.utf8))
    guard all.programs.count == 1 else { throw Failure("not one: \(output)") }
    return all.programs[0]
  }

  /// The control sockets in the ordinary user's run-time directory here.
  fileprivate func sockets() throws -> [String] { try runtimeFiles(ofType: "s") }
}

/// The segments of each direction of each channel, those of handshakes left out.
private struct ChannelTally: PacketObserver {
  struct Sums {
    var segments: UInt64 = 0
    var bytes: UInt64 = 0
  }
  private(set) var sums: [String: Sums] = [:]
  /// Behind whose SYN only the handshake came until now.
  private var firstSequences: [String: UInt32] = [:]

  mutating func observe(_ packet: CapturedPacket, bytes: RawSpan) {
    guard let segment = packet.segment else { return }
    let key = "\(segment.source) \(segment.destination)"
    guard !segment.flags.contains(.syn) else {
      firstSequences[key] = segment.sequence &+ 1
      return
    }
    // The acknowledgment of the SYN-ACK, and the first message.
    guard segment.sequence != firstSequences[key] else { return }
    sums[key, default: Sums()].segments += 1
    sums[key, default: Sums()].bytes += UInt64(segment.payloadCount)
  }
}
