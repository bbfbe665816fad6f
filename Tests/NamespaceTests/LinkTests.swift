// The emulated link with real packets: each of its faults must show at the hosts as its counters say, and
// without faults it must lose nothing of its own.

import Glibc
import LinkModel
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct LinkTests {
    /// 100 Mbit/s of 1400-byte datagrams (1442 bytes each with headers) is 8,668 a second.
    @Test(arguments: [Offloads.on, .off])
    func carriesAHundredMegabitEachWay(offloads: Offloads) async throws {
      try await withEmulatedLink(["delay 40ms"], offloads: offloads) { client, link, server in
        let ends = try Ends(client, server)
        let load = Load(size: 1400, rate: 8668, duration: .seconds(4))
        let down = try Stream(load, from: ends.server, to: ends.client)
        let up = try Stream(load, from: ends.client, to: ends.server).finish()
        for receipt in [up, try down.finish()] {
          #expect(receipt.isComplete(load) && receipt.reordered == 0, "\(receipt)")
        }
        let report = try link.report()
        for counters in [report.up, report.down] {
          #expect(counters[.mislaid] == 0 && counters[.unfinished] == 0, "\(report)")
          #expect(counters[.sent] >= load.count)
        }
      }
    }

    @Test func delaysBothWays() async throws {
      try await withEmulatedLink(["up delay 30ms", "down delay 50ms"]) { client, _, server in
        let text = try client.run("ping", "-q", "-c", "20", "-i", "0.05", "\(server.address)")
        // rtt min/avg/max/mdev = 80.2/80.4/80.9/0.1 ms
        let minimum = try #require(
          text.split(separator: "= ").last?.split(separator: "/").first.flatMap {
            Double($0)
          }, "\(text)")
        #expect((80...82).contains(minimum), "\(text)")
      }
    }

    @Test func rateAndQueueBoundAUDPFlood() async throws {
      try await withEmulatedLink(["up rate 20mbit queue 100k"]) { client, link, server in
        let ends = try Ends(client, server)
        let load = Load(size: 1400, rate: 4000, duration: .seconds(3))
        let receipt = try Stream(load, from: ends.client, to: ends.server).finish()
        let counters = try link.report().up
        // What 3 s of 20 Mbit/s carry, and what the queue held in the end, in frames of 1442 bytes.
        let expected = (3 * 2_500_000 + 100_000) / 1442
        #expect(abs(receipt.received - expected) * 50 < expected, "\(receipt)")
        #expect(counters[.overflowed] == load.count - receipt.received)
      }
    }

    @Test func lossAndReorderingAreAsCounted() async throws {
      let faults = ["down loss 5%", "down delay 5ms", "down reorder 5% by 5ms"]
      try await withEmulatedLink(faults) { client, link, server in
        let ends = try Ends(client, server)
        let load = Load(size: 500, rate: 5000, count: 10_000)
        let receipt = try Stream(load, from: ends.server, to: ends.client).finish()
        let counters = try link.report().down
        #expect(receipt.received == load.count - counters[.lost])
        #expect((400...600).contains(counters[.lost]))
        #expect((400...600).contains(counters[.reordered]))
        #expect(receipt.reordered > 0 && receipt.reordered <= counters[.reordered], "\(receipt)")
      }
    }

    @Test func jitterKeepsTheOrder() async throws {
      try await withEmulatedLink(["delay 5ms jitter 20ms"]) { client, _, server in
        let ends = try Ends(client, server)
        let load = Load(size: 500, rate: 2000, count: 4000)
        let receipt = try Stream(load, from: ends.client, to: ends.server).finish()
        #expect(receipt.isComplete(load) && receipt.reordered == 0, "\(receipt)")
      }
    }

    @Test func policesEachUDPFlowAlone() async throws {
      try await withEmulatedLink(["police udp 2mbit 20k"]) { client, link, server in
        let ends = [try Ends(client, server, port: 7001), try Ends(client, server, port: 7002)]
        let load = Load(size: 1400, rate: 1000, duration: .seconds(3))
        let streams = try ends.map { try Stream(load, from: $0.client, to: $0.server) }
        let receipts = try streams.map { try $0.finish() }
        let expected = (3 * 250_000 + 20_000) / 1442
        for receipt in receipts {
          #expect(abs(receipt.received - expected) * 50 < expected, "\(receipt)")
        }
        let received = receipts.map(\.received).reduce(0, +)
        #expect(try link.report().up[.policed] == 2 * load.count - received)
        #expect(try link.flows().filter { $0.contains("10.77.1.2:700") }.count == 2)
      }
    }

    @Test(arguments: [Offloads.on, .off])
    func kernelTCPGoesThroughPacketByPacket(offloads: Offloads) async throws {
      let commands = ["delay 2ms", "police tcp 50mbit 100k"]
      try await withEmulatedLink(commands, offloads: offloads) { client, link, server in
        let sent = try Capture(in: client.namespace, CaptureJudge(isSealed: false))
        let listener = try server.start("iperf3", "-s", "-1")
        try wait(for: "the listener") { try server.run("ss", "-lnt").contains(":5201") }
        let start = now()
        try client.run("iperf3", "-c", "\(server.address)", "-n", "10M")
        let elapsed = now() - start
        try listener.terminate()
        let report = try link.report()
        #expect(report.up[.unfinished] == 0 && report.up[.mislaid] == 0)
        #expect(report.up[.policed] > 0)
        #expect(report.up[.arrived] > 6000)
        #expect(report.up[.arrivedBytes] <= report.up[.arrived] * 1514)
        #expect(elapsed > .seconds(1.5), "10.5 MB and headers at 50 Mbit/s")
        #expect(try sent.finish().badChecksums == 0)
      }
    }

    @Test func resetsEndKernelConnectionsAtBothEnds() async throws {
      try await withEmulatedLink(["delay 10ms"]) { client, link, server in
        // socat takes a reset while it reads for an end, and says so at level -ddd only.
        let listener = try server.start("socat", "-ddd", "-u", "TCP-LISTEN:7777", "OPEN:/dev/null")
        try wait(for: "the listener") { try server.run("ss", "-lnt").contains(":7777") }
        let talker = try client.start("socat", "-u", "OPEN:/dev/zero", "TCP:\(server.address):7777")
        try wait(for: "the connection") { try server.run("ss", "-nt").contains(":7777") }
        try link.set("rate 20mbit queue 100k")
        try pause(.milliseconds(300))
        #expect(talker.isRunning && listener.isRunning)
        try link.set("reset now")
        for process in [talker, listener] {
          _ = try process.wait(atMost: .seconds(5))
          #expect(process.errors.contains("Connection reset by peer"), "\(process.errors)")
        }
        let report = try link.report()
        #expect(report.up[.resets] == 1 && report.down[.resets] == 1)
      }
    }

    @Test func blackholesSwallowWhatTheyName() async throws {
      try await withEmulatedLink { client, link, server in
        let one = try Ends(client, server, port: 7001)
        let other = try Ends(client, server, port: 7002)
        #expect(try one.pass() == [true, true] && other.pass() == [true, true])
        let port = one.clientEnd.port
        try link.set("blackhole flow udp \(port) 7001")
        #expect(try one.pass() == [false, false] && other.pass() == [true, true])
        try link.set("blackhole port 7002")
        #expect(try other.pass() == [false, false])
        try link.set("blackhole none")
        try link.set("up blackhole larger 1000")
        #expect(try one.pass() == [true, true] && one.pass(972) == [true, true])
        #expect(try one.pass(973) == [false, true])
        try link.set("blackhole none")
        try link.set("blackhole ports 50% after 20k")
        for _ in 0..<10 { #expect(try one.pass(1000) == [true, true]) }
        // In the order of their first packets, the second port is the half that dies.
        for _ in 0..<9 { #expect(try other.pass(1000) == [true, true]) }
        #expect(try other.pass(1000) == [true, true] && other.pass(1000) == [false, false])
        #expect(try one.pass(1000) == [true, true])
      }
    }

    @Test func blocksUDPAndNothingElse() async throws {
      try await withEmulatedLink(["block udp"]) { client, link, server in
        let ends = try Ends(client, server)
        #expect(try ends.pass() == [false, false])
        try client.run("ping", "-c", "1", "-W", "1", "\(server.address)")
        let listener = try server.start("socat", "-u", "TCP-LISTEN:7777", "OPEN:/dev/null")
        try wait(for: "the listener") { try server.run("ss", "-lnt").contains(":7777") }
        try client.run("socat", "-u", "OPEN:/etc/hostname", "TCP:\(server.address):7777")
        #expect(try listener.wait(atMost: .seconds(5)) == .exited(0))
        try link.set("unblock udp")
        #expect(try ends.pass() == [true, true])
      }
    }

    @Test func outageIsAsLongAsItIsToBe() async throws {
      try await withEmulatedLink { client, link, server in
        let ends = try Ends(client, server)
        let load = Load(size: 500, rate: 1000, duration: .seconds(3))
        let stream = try Stream(load, from: ends.client, to: ends.server)
        try pause(.seconds(1))
        try link.set("outage 700ms")
        let receipt = try stream.finish()
        #expect(receipt.longestGap > .milliseconds(690), "\(receipt)")
        let cut = try link.report().up[.cut]
        #expect(cut == load.count - receipt.received && (650...750).contains(cut), "\(receipt)")
      }
    }

    @Test func byteMeterCountsWhatTheLinkLetsThroughAndConnectsAnew() async throws {
      try await withEmulatedLink(["rate 20mbit queue 100k", "delay 5ms"]) { client, link, server in
        let end = Endpoint(server.address, 7000)
        let source = try ByteSource(in: server.namespace, at: end)
        let meter = ByteMeter(in: client.namespace, to: end, count: 4, each: .seconds(1))
        try pause(.milliseconds(1900))
        try link.set("reset now")
        try pause(.milliseconds(2200))
        let bytes = withExtendedLifetime(source) { meter.finish() }
        // 2.5 MB a second with headers; a reset and a new start cost less than half a second.
        #expect(bytes.allSatisfy { (1_250_000...2_500_000).contains($0) }, "\(bytes)")
        #expect(try link.report().down[.resets] == 1)
        #expect(try link.flows().filter { $0.hasPrefix("tcp ") }.count == 2)
      }
    }

    @Test func whatIsNoWirePacketIsCounted() async throws {
      try await withEmulatedLink { client, link, server in
        let ends = try Ends(client, server)
        try client.run("ethtool", "-K", Host.interface, "tx", "on")
        #expect(try ends.pass() == [false, true])
        #expect(try link.report().up[.unfinished] == 1)
      }
    }

    @Test func wrongInputIsToldInASentence() async throws {
      try await withEmulatedLink { client, link, server in
        #expect(throws: Failure.self) { try link.set("loss much") }
        #expect(try Ends(client, server).pass() == [true, true])
        let tool = try Installation.tool("LinkEmulator")
        for (arguments, status, text) in [
          ([], 64, "two interfaces are to be named first; see --help\n"),
          (["lo"], 64, "two interfaces are to be named first; see --help\n"),
          (["lo", "none"], 1, "there is no interface none\n"),
          (["lo", "lo", "--seed", "x"], 64, "--seed takes a whole number\n"),
          (
            ["lo", "lo", "delay"], 64,
            "\"delay\": the end stands where a time like 40ms or 2s should\n"
          ),
        ] as [([String], Int32, String)] {
          let process = try ChildProcess(client.namespace.commandLine([tool] + arguments))
          #expect(try process.wait(atMost: .seconds(5)) == .exited(status))
          #expect(process.errors == text)
        }
        #expect(try run(tool, "--help").contains("blackhole larger BYTES"))
      }
    }
  }
}

/// A UDP socket at each host, connected to each other.
private struct Ends {
  let client: UDPSocket
  let server: UDPSocket
  /// Where the server sees the client.
  let clientEnd: Endpoint

  init(_ client: Host, _ server: Host, port: UInt16 = 7000) throws {
    let end = Endpoint(server.address, port)
    clientEnd = Endpoint(client.address, port + 1000)
    self.server = try UDPSocket(in: server.namespace, local: end)
    self.client = try UDPSocket(in: client.namespace, local: clientEnd, remote: end)
    try self.server.connect(to: clientEnd)
  }

  /// Whether a datagram of that size comes through up, and down.
  func pass(_ byteCount: Int = 100) throws -> [Bool] {
    let bytes = [UInt8](repeating: 7, count: byteCount)
    try client.send(bytes)
    try server.send(bytes)
    return try [server, client].map { try $0.receive(within: .milliseconds(200))?.bytes == bytes }
  }
}
