// The tools against the kernel's own UDP and TCP: what they measure must be able to fail, and must
// not fail where nothing is wrong.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct ToolTests {
    @Test func processesHearSignals() async throws {
      try await withTwoHosts { client, _ in
        let process = try client.start("sh", "-c", "trap 'exit 7' TERM; sleep 60 & wait")
        try pause(.milliseconds(200))
        #expect(try process.terminate() == .exited(7))
        let other = try client.start("sleep", "60")
        other.killNow()
        #expect(other.wait() == .killed(9))
      }
    }

    @Test func generatorLosesNothingOfItsOwn() async throws {
      try await withTwoHosts { client, server in
        let port = Endpoint(server.address, 9999)
        let target = try UDPSocket(in: server.namespace, local: port)
        let app = try UDPSocket(in: client.namespace, remote: port)
        let load = Load(size: 1400, rate: 20_000, duration: .seconds(2))
        let start = now()
        let receipt = try Stream(load, from: app, to: target).finish()
        #expect(receipt.received == 40_000 && receipt.damaged == 0, "\(receipt)")
        #expect(now() - start > .milliseconds(1900))
      }
    }

    @Test func receiverCountsLossDamageAndRepetition() async throws {
      try await withTwoHosts { client, server in
        let port = Endpoint(server.address, 9999)
        let target = try UDPSocket(in: server.namespace, local: port)
        let app = try UDPSocket(in: client.namespace, remote: port)
        let stream = try Stream(
          Load(size: 1400, rate: 10_000, count: 100), from: app, to: target)
        try app.send(Load(size: 1400, rate: nil, count: 10))
        try app.send(Load(size: 1400, rate: nil, count: 5, seed: 2))
        let receipt = try stream.finish()
        #expect(receipt.received == 100 && receipt.duplicated == 10 && receipt.damaged == 5)
      }
    }

    @Test(arguments: [Offloads.on, .off])
    func judgesAcceptTheKernelsTCPThroughAStrictRouter(offloads: Offloads) async throws {
      try await withRoutedHosts(offloads: offloads, outerOffloads: .off) { client, router, server in
        let inside = try Capture(of: Router.inside, in: router.namespace, Judges())
        let outside = try Capture(of: Router.outside, in: router.namespace, Judges())
        let listener = try server.start("iperf3", "-s", "-1")
        try wait(for: "the listener") { try server.run("ss", "-lnt").contains(":5201") }
        try client.run("iperf3", "-c", "\(server.address)", "-n", "50M", "--bidir", "-b", "400M")
        try listener.terminate()
        for judges in [try inside.finish(), try outside.finish()] {
          #expect(judges.window.invalid == 0, "\(judges.window)")
          #expect(judges.capture.outsideWindow + judges.capture.unjudged == 0, "\(judges.capture)")
          #expect(judges.capture.badChecksums + judges.capture.tooLarge == 0, "\(judges.capture)")
          #expect(judges.capture.dataSegments > 60_000, "\(judges.capture)")
        }
        #expect(try router.invalidPackets() == 0)
      }
    }

    @Test func captureShowsFragmentsResetsAndBadChecksums() async throws {
      try await withTwoHosts(offloads: .off) { client, server in
        let capture = try Capture(in: server.namespace, CaptureJudge())
        try client.run("ping", "-c", "1", "-s", "3000", "\(server.address)")
        // Nobody listens there, so the server's kernel answers with a RST.
        #expect(throws: Failure.self) {
          try client.run("socat", "-u", "OPEN:/dev/null", "TCP:\(server.address):9")
        }
        var broken = Forgery.packet(.probe(from: client, to: server))
        broken[30] ^= 1
        try Injector(from: client).send(broken)
        try pause(.milliseconds(200))
        let judge = try capture.finish()
        #expect(judge.fragments == 6, "three each way: \(judge)")
        #expect(judge.resets == 1, "\(judge)")
        #expect(judge.badChecksums == 1, "\(judge)")
      }
    }

    @Test func forgedResetEndsAKernelConnection() async throws {
      try await withTwoHosts { client, server in
        let capture = try Capture(in: client.namespace, LatestSegments())
        let listener = try server.start(
          "socat", "-d", "-d", "-u", "TCP-LISTEN:7777", "OPEN:/dev/null")
        try wait(for: "the listener") { try server.run("ss", "-lnt").contains(":7777") }
        let talker = try client.start("socat", "-u", "EXEC:sleep 30", "TCP:\(server.address):7777")
        try wait(for: "the connection") { try server.run("ss", "-nt").contains(":7777") }
        let latest = try #require(capture.current.latest(from: client.address))
        var reset = latest
        (reset.flags, reset.sequence, reset.payloadCount) = (.rst, latest.end, 0)
        try Injector(from: client).send(Forgery.packet(reset))
        _ = try listener.wait(atMost: .seconds(5))
        #expect(talker.isRunning, "the other end has not closed")
        talker.killNow()
      }
    }

    @Test func strictRouterCountsWhatItDrops() async throws {
      try await withRoutedHosts { client, router, server in
        // An acknowledgement of a connection that nobody opened; loose pick-up would forgive it.
        try router.namespace.run("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0")
        try Injector(from: client).send(Forgery.packet(.probe(from: client, to: server)))
        try wait(for: "the counter") { try router.invalidPackets() == 1 }
        #expect(try router.resets() == 0)
      }
    }
  }
}

/// Both judges on one capture.
struct Judges: PacketObserver {
  var capture: CaptureJudge
  var window = WindowJudge()

  init(_ protection: Protection = .plain, mtu: Int = 1500) {
    capture = CaptureJudge(mtu: mtu, isSealed: protection == .sealed)
  }

  mutating func observe(_ packet: CapturedPacket, bytes: RawSpan) {
    capture.observe(packet, bytes: bytes)
    window.observe(packet, bytes: bytes)
  }
}

/// Keeps, for each connection and direction, the latest segment.
struct LatestSegments: PacketObserver {
  private(set) var latest: [FourTuple: CapturedSegment] = [:]

  mutating func observe(_ packet: CapturedPacket, bytes: RawSpan) {
    guard let segment = packet.segment else { return }
    latest[FourTuple(local: segment.source, remote: segment.destination)] = segment
  }

  func latest(from address: IPAddress) -> CapturedSegment? {
    latest.first { $0.key.local.address == address }?.value
  }
}

extension CapturedSegment {
  /// An acknowledgement that belongs to no connection.
  static func probe(from client: Host, to server: Host) -> CapturedSegment {
    CapturedSegment(
      from: Endpoint(client.address, 5555), to: Endpoint(server.address, 9), sequence: 1,
      acknowledgement: 1, flags: .ack, window: 1000)
  }
}
