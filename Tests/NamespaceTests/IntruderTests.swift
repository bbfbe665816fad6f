// Who has no key gets no datagram through, disturbs nobody and learns nothing but that a port listens;
// each attempt is counted. Who has one gets in whatever his clock says.

import Glibc
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct IntruderTests {
    @Test func strangersGetNothingThrough() async throws {
      try await withIntruder { client, server, intruder in
        let (honest, removed) = (try Installation.newKey(), try Installation.newKey())
        let file = try Installation.writeKeys(
          ["honest \(honest)", "removed \(removed)"], to: "several-keys")
        var options = Tunnel.Options()
        options.server = ["--key-file=\(file)"]
        options.client = ["--key-file=\(try Installation.writeKeys([honest], to: "honest-key"))"]
        let tunnel = try Tunnel(from: client, to: server, options)
        let former = try Stranger(30_001, key: removed, on: intruder, to: server)
        _ = try Tunnel.join(former.app, tunnel.target)

        try Installation.writeKeys(["honest \(honest)"], to: "several-keys")
        tunnel.server.signal(SIGHUP)
        try tunnel.server.waitForText("keys: 1")
        let capture = try Capture(in: intruder.namespace, Answers(of: server))
        let strangers = [
          former, try Stranger(30_002, key: nil, on: intruder, to: server),
          try Stranger(30_003, key: Installation.newKey(), on: intruder, to: server),
        ]
        // What came of the strangers' datagrams would count as damaged.
        let load = Load(size: 1400, rate: 2000, duration: .seconds(6))
        let receipt = try withChatter(of: strangers) {
          try Stream(load, from: tunnel.app, to: tunnel.target).finish()
        }
        #expect(receipt.isComplete(load), "\(receipt)")
        let answers = try capture.finish()
        #expect(answers.saysNothing, "\(answers)")
        #expect(answers.synAcks > 30 && answers.resets > 30, "they did try: \(answers)")
        #expect(answers.bytesSent <= answers.bytesReceived, "\(answers)")
        for stranger in strangers { #expect(try stranger.program.terminate() == .exited(0)) }
        try tunnel.stop()
        let drops = try tunnel.server.drops()
        #expect(drops["unknownKey", default: 0] > 0, "the wrong key and the removed one: \(drops)")
        #expect(drops["badHello", default: 0] > 0, "no key: \(drops)")
      }
    }

    @Test func replayedConnectionsGainNothing() async throws {
      try await withIntruder(offloads: .off) { client, server, intruder in
        let options = Tunnel.Options(.sealed, ports: "10001")
        let recording = try Capture(in: server.namespace, Recording())
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 600, rate: 500, count: 300)
        let receipt = try Stream(load, from: tunnel.app, to: tunnel.target).finish()
        #expect(receipt.isComplete(load), "\(receipt)")
        let packets = try recording.finish().packets(from: client)
        #expect(packets.count > 300)

        try expectReplaysBesideTheClient(packets, tunnel)
        #expect(try tunnel.client.terminate() == .exited(0), "\(tunnel.client.errors)")
        // Closed channels linger for a second.
        try pause(.milliseconds(1500))
        try expectReplaysOfTheGone(packets, tunnel)
        #expect(try tunnel.server.terminate() == .exited(0), "\(tunnel.server.errors)")
        let drops = try tunnel.server.drops()
        #expect(drops["repeatedFrame", default: 0] >= 600, "\(drops)")
        #expect(drops["repeatedHandshake", default: 0] > 0, "\(drops)")

        let successor = try server.startRsock(Tunnel.serverArguments(options))
        try successor.waitForText("server ready")
        try expectReplaysOfTheGone(packets, tunnel)
        try expectNothingForOwnConnections(packets, tunnel, from: intruder)
        // Whoever has the key gets in after all that.
        let newcomer = try client.startRsock(Tunnel.clientArguments(to: server, options))
        _ = try Tunnel.join(tunnel.app, tunnel.target)
        #expect(try newcomer.terminate() == .exited(0), "\(newcomer.errors)")
        #expect(try successor.terminate() == .exited(0), "\(successor.errors)")
        let later = try successor.drops()
        for reason in ["badHello", "unknownKey", "badHandshake", "staleHandshake"] {
          #expect(later[reason, default: 0] > 0, "\(reason): \(later)")
        }
      }
    }

    @Test func aClockThatIsADayOffKeepsNobodyOut() async throws {
      try await together([-86_400, 86_400].map { offset in { try await enter(offset: offset) } })
    }
  }
}

/// A client on the intruder's host, and its app.
private struct Stranger {
  let program: ChildProcess
  let app: UDPSocket

  init(_ port: UInt16, key: String?, on intruder: Host, to server: Host) throws {
    let entrance = Endpoint(Tunnel.entrance.address, port)
    var options = Tunnel.Options()
    if let key {
      options.client = ["--key-file=\(try Installation.writeKeys([key], to: "key-\(port)"))"]
    }
    program = try intruder.startRsock(
      Tunnel.clientArguments(to: server, options, entrance: entrance))
    try program.waitForText("client ready")
    app = try UDPSocket(in: intruder.namespace, remote: entrance)
  }
}

/// Calls `body` while the strangers' apps talk.
private func withChatter<Result>(
  of strangers: [Stranger], _ body: () throws -> Result
) throws -> Result {
  let isOver = Signal()
  let apps = strangers.map(\.app)
  let chatter = Background {
    while !isOver.isRaised {
      for app in apps { try? app.send(Array("let me in".utf8)) }
      try? pause(.milliseconds(10))
    }
  }
  defer {
    isOver.raise()
    chatter.join()
  }
  return try body()
}

/// Replays a living client's connection, twice, while it talks.
private func expectReplaysBesideTheClient(_ packets: [[UInt8]], _ tunnel: Tunnel) throws {
  let capture = try Capture(in: tunnel.clientHost.namespace, Answers(of: tunnel.serverHost))
  let load = Load(size: 600, rate: 500, duration: .seconds(3), seed: 2)
  let stream = try Stream(load, from: tunnel.app, to: tunnel.target)
  for _ in 0..<2 {
    try replay(packets, from: tunnel.clientHost)
    try pause(.milliseconds(500))
  }
  let receipt = try stream.finish()
  #expect(receipt.isComplete(load), "\(receipt)")
  let answers = try capture.finish()
  #expect(answers.synAcks == 2 && answers.resets == 0 && answers.firstMessages == 0, "\(answers)")
}

/// Replays a connection that the server does not have any more.
private func expectReplaysOfTheGone(_ packets: [[UInt8]], _ tunnel: Tunnel) throws {
  let capture = try Capture(in: tunnel.clientHost.namespace, Answers(of: tunnel.serverHost))
  try replay(packets, from: tunnel.clientHost)
  #expect(try tunnel.target.receive(within: .milliseconds(500)) == nil)
  let answers = try capture.finish()
  #expect(answers.saysNothing, "\(answers)")
  #expect(answers.synAcks > 0 && answers.resets > 0, "\(answers)")
  #expect(answers.bytesSent <= answers.bytesReceived, "\(answers)")
}

private func replay(_ packets: [[UInt8]], from host: Host) throws {
  let injector = try Injector(from: host)
  try paced(packets.count, rate: 2000) { try injector.send(Array(packets[$0])) }
}

/// Says what was captured on connections of the intruder's own, as it was and with a bit changed.
private func expectNothingForOwnConnections(
  _ packets: [[UInt8]], _ tunnel: Tunnel, from intruder: Host
) throws {
  let payloads = packets.compactMap { packet in
    CapturedPacket.parsing(packet)?.segment.map { packet.suffix($0.payloadCount) }
  }
  let spoken = payloads.filter { !$0.isEmpty }.map(Array.init)
  let first = try #require(spoken.first)
  #expect(first.prefix(3) == [0x16, 0x03, 0x01])
  let capture = try Capture(in: intruder.namespace, Answers(of: tunnel.serverHost))
  let injector = try Injector(from: intruder)
  var tap = try PacketTap(at: intruder)
  var random = SeededRandom(seed: 9)
  let server = Endpoint(tunnel.serverHost.address, 10_001)
  // As it was, with a byte of the hint and of the seal changed, and cut short with its record.
  var (otherHint, otherSeal, short) = (first, first, Array(first.prefix(60)))
  otherHint[5] ^= 1
  otherSeal[first.count - 1] ^= 1
  (short[3], short[4]) = (0, UInt8(short.count - 5))
  for message in [first, otherHint, otherSeal, short] {
    var connection = try HandmadeConnection(to: server, over: injector, &tap, using: &random)
    for payload in [message] + spoken.dropFirst().prefix(20) { try connection.send(payload) }
  }
  #expect(try tunnel.target.receive(within: .milliseconds(500)) == nil)
  let answers = try capture.finish()
  #expect(answers.saysNothing, "\(answers)")
  #expect(answers.synAcks == 4 && answers.resets > 4, "\(answers)")
}

/// Gets in within 5 s with a clock that is so many seconds off, and at once when the server was started
/// again.
private func enter(offset: Int) async throws {
  try await withTwoHosts { client, server in
    var options = Tunnel.Options(.sealed)
    options.client = ["--test-clock-offset=\(offset)"]
    let target = try UDPSocket(in: server.namespace, local: Tunnel.exit)
    let first = try server.startRsock(Tunnel.serverArguments(options))
    try first.waitForText("server ready")
    let program = try client.startRsock(Tunnel.clientArguments(to: server, options))
    try program.waitForText("client ready")
    let app = try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
    _ = try Tunnel.join(app, target, within: .seconds(5))
    #expect(try first.terminate() == .exited(0), "\(first.errors)")
    #expect(try first.drops()["unknownKey", default: 0] > 0, "the clock is off")
    let second = try server.startRsock(Tunnel.serverArguments(options))
    try second.waitForText("server ready")
    _ = try Tunnel.join(app, target, within: .milliseconds(1500))
    for process in [program, second] {
      #expect(try process.terminate() == .exited(0), "\(process.errors)")
    }
    #expect(try second.drops()["unknownKey"] == nil, "the client knows the time now")
  }
}
