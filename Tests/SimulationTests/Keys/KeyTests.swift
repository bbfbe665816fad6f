import Crypto
import Samples
import Testing
import Wire

@testable import Engine

/// Who gets in.
@Suite struct KeyTests {
  private static let key = Protection.key(1, name: "one")
  private static let other = Protection.key(2, name: "two")

  private static func world(
    server: [NamedKey], client: [NamedKey], clients: Int = 1,
    configure: @escaping (inout EngineConfiguration) -> Void = { _ in }
  ) -> World {
    World(clients: clients) {
      $0.keys = $0.isServer ? server : client
      configure(&$0)
    }
  }

  private static func expectShutOut(
    _ world: World, _ reason: DropReason, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(20), every: .milliseconds(100))
    #expect(exchange.delivered == 0, sourceLocation: sourceLocation)
    #expect(world.server.channels.isEmpty, sourceLocation: sourceLocation)
    #expect(world.server.counters[reason] > 0, sourceLocation: sourceLocation)
    #expect(world.client.connectedCount == 0, sourceLocation: sourceLocation)
    #expect(world.client.count { $0 == .unanswered } == 1, sourceLocation: sourceLocation)
  }

  @Test func withoutTheKey() {
    Self.expectShutOut(Self.world(server: [Self.key], client: []), .badHello)
  }

  @Test func withAnotherKey() {
    Self.expectShutOut(Self.world(server: [Self.key], client: [Self.other]), .unknownKey)
  }

  @Test func withAKeyAtAServerWithout() {
    Self.expectShutOut(Self.world(server: [], client: [Self.key]), .badHello)
  }

  /// Strangers get what a kernel would send: SYN-ACK and a bare RST.
  @Test func strangersAreToldNothing() {
    let world = Self.world(server: [Self.key], client: [Self.key])
    let hello = Hello(
      observed: TCPOptions(maximumSegmentSize: 1460, windowScale: 7), segmentSize: 1460, channel: 1,
      session: SessionID(high: 1, low: 2))
    let request = Array("GET / HTTP/1.1\r\n\r\n".utf8)
    let payloads = [
      HandshakeRecord.bytes(containing: hello.bytes), request, [0x16],
      HandshakeRecord.bytes(containing: [UInt8](repeating: 1, count: 300)),
    ]
    for (number, payload) in payloads.enumerated() {
      let answers = Intruder(port: UInt16(1000 + number)).firstData(
        payload, to: world.server, at: world.now)
      #expect(answers.map(\.flags) == [.rst])
      #expect(answers.allSatisfy { $0.payloadLength == 0 })
    }
  }

  @Test func oneOfThreeHundred() {
    let keys = (0..<300).map { number in
      NamedKey(name: "client-\(number)", key: SecretKey { $0.set(UInt32(number + 1), at: 0) })
    }
    let world = Self.world(server: keys, client: [keys[217]])
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  /// Two clients with keys of their own; one key is taken away, then given back as another one.
  @Test func shutOut() {
    let world = Self.world(server: [Self.key, Self.other], client: [Self.key], clients: 2) { _ in }
    world.clients[1].setKeys([Self.other], at: world.now)
    world.connect()
    let staying = Exchange(world, client: world.clients[0], seed: 1)
    let leaving = Exchange(world, client: world.clients[1], seed: 2)
    for exchange in [staying, leaving] {
      exchange.send(app: exchange === staying ? 1 : 2, size: 300)
    }
    world.run(for: .milliseconds(100))
    #expect(world.server.channels.count == 20)
    let flows = world.server.count { if case .flowClosed = $0 { true } else { false } }
    world.server.setKeys([Self.key], at: world.now)
    #expect(world.server.channels.count == 10)
    #expect(world.server.count { if case .flowClosed = $0 { true } else { false } } == flows + 1)
    let (before, start) = (staying.sent, world.now)
    _ = world.server.takeArrivals()
    while world.now - start < .seconds(20) {
      staying.send(app: 1, size: 200)
      leaving.send(app: 2, size: 200)
      world.run(for: .milliseconds(50))
    }
    world.run(for: .milliseconds(100))
    let arrivals = world.server.takeArrivals()
    #expect(arrivals.count == staying.sent - before)
    #expect(arrivals.allSatisfy { $0.payload.first == 1 })
    #expect(world.server.channels.count == 10)
    // The same name under another key is another client.
    world.server.setKeys(
      [Self.key, NamedKey(name: "two", key: Protection.key(3).key)], at: world.now)
    world.run(for: .seconds(12))
    #expect(world.server.channels.count == 10)
    world.server.setKeys([Self.key, Self.other], at: world.now)
    leaving.send(app: 2, size: 200)
    world.run(for: .seconds(12))
    #expect(world.server.channels.count == 20)
  }

  /// Whoever has one key cannot take over the session of another.
  @Test func sessionsBelongToTheirKeys() {
    let world = Self.world(server: [Self.key, Self.other], client: [Self.key])
    world.connect()
    let thief = Host(
      {
        var configuration = EngineConfiguration(
          role: .client(
            server: World.serverAddress, ports: PortSet([10_001...10_010]), maxChannels: 16))
        configuration.keys = [Self.other]
        return configuration
      }(), address: IPAddress(ipv4: 0x0A00_0901), secret: 31, session: world.client.session,
      at: world.now)
    world.addClient(thief)
    let exchange = Exchange(world, client: world.clients[0])
    exchange.stream(for: .seconds(5), bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    #expect(thief.connectedCount == 0)
    #expect(world.server.counters[.badHandshake] > 0)
  }

  private static let preferences: [(CipherPreference, CipherPreference, Bool)] = [
    (.auto, .auto, true), (.auto, .aesGCM, true), (.chaCha20, .auto, true),
    (.aesGCM, .aesGCM, true), (.none, .none, true), (.aesGCM, .chaCha20, false),
    (.auto, .none, false), (.none, .auto, false),
  ]

  @Test(arguments: preferences)
  func ciphers(client: CipherPreference, server: CipherPreference, agree: Bool) {
    let world = Self.world(server: [Self.key], client: [Self.key]) {
      $0.cipher = $0.isServer ? server : client
    }
    let exchange = world.connect(streaming: .seconds(2), bothWays: agree)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.delivered == (agree ? exchange.sent : 0))
    for host in [world.client, world.server] {
      let told = host.count { if case .cipherMismatch = $0 { true } else { false } }
      #expect(told == (agree ? 0 : 1))
    }
  }

  /// Either side may lack the instructions for AES.
  @Test(arguments: [(true, false), (false, true), (false, false), (true, true)])
  func processors(client: Bool, server: Bool) {
    let world = Self.world(server: [Self.key], client: [Self.key]) {
      $0.hasFastAES = $0.isServer ? server : client
    }
    let exchange = world.connect(streaming: .seconds(1), bothWays: true)
    world.run(for: .seconds(1))
    #expect(exchange.settled.lost == 0)
  }

  @Test func anotherVersion() {
    let world = Self.world(server: [Self.key], client: [Self.key]) {
      if $0.isServer { $0.version = 9 }
    }
    world.run(for: .seconds(10))
    #expect(world.server.channels.isEmpty)
    for (host, version) in [(world.client, UInt8(9)), (world.server, UInt8(1))] {
      let told = host.count {
        if case .versionMismatch(_, version) = $0 { true } else { false }
      }
      #expect(told == 1)
    }
  }

  /// A clock that is a day off, and one that is five minutes off; then the client comes back at once,
  /// since the server told it the time.
  @Test(arguments: [86_400, -86_400, 300, -300, 1_000_000_000])
  func wrongClock(seconds: Int64) throws {
    let world = Self.world(server: [Self.key], client: [Self.key])
    let wrong = UInt64(Int64(Host.clock) + seconds * 1000)
    world.client.setClock(wrong, at: world.now)
    // Ten channels begin to doubt the clock after 2.1 s, and the next dial is at 3 s.
    let delay = try #require(world.run(upTo: .seconds(6)) { world.client.connectedCount == 1 })
    #expect(delay < .milliseconds(3500))
    world.restartServer(secret: 1234) { $0.keys = [Self.key] }
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(3), every: .milliseconds(20))
    let delivered = exchange.delivered
    #expect(delivered > 90)
    world.run(for: .seconds(3))
    #expect(world.server.channels.count == 10)
  }

  /// A firewall that gives the client other sequence numbers: the clock has to do.
  @Test func changedSequenceNumbers() {
    let world = Self.world(server: [Self.key], client: [Self.key])
    world.hasTrackers = false
    world.middlebox = Middlebox.shiftingSequence(by: 0x1234_5678)
    world.run(for: .seconds(100))
    #expect(world.server.channels.isEmpty)
    #expect(world.server.counters[.staleHandshake] > 0)
    // Two minutes after the server's start nothing from before is accepted any more.
    world.run(for: .seconds(40))
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(2), bothWays: true)
    world.run(for: .seconds(1))
    #expect(exchange.settled.lost == 0)
    #expect(world.server.channels.count > 0)
  }

  /// A server that was restarted is noticed by its token, without a probe.
  @Test func resetToken() throws {
    let world = Self.world(server: [Self.key], client: [Self.key])
    let exchange = world.connect(streaming: .seconds(1))
    world.run(for: .milliseconds(100))
    world.restartServer(secret: 1234) { $0.keys = [Self.key] }
    exchange.forgetFlows()
    let start = world.now
    exchange.send(size: 100)
    let delay = try #require(
      world.run(upTo: .seconds(1)) { world.server.channels.count == 10 && world.now > start })
    // Datagram and RST, probes and RSTs, SYN and SYN-ACK, Hello and Hello, first frame: a few round
    // trips of 20 ms, and no timeout.
    #expect(delay <= .milliseconds(120))
    #expect(world.client.counters[.foreignReset] == 0)
    #expect(world.client.dialCount == 20)
    exchange.stream(for: .seconds(1), bothWays: true)
    world.run(for: .milliseconds(100))
    #expect(exchange.settled.lost == 1)
  }

  /// Nobody else's RST is believed: not a bare one, not one with another channel's token.
  @Test func otherTokens() {
    let world = Self.world(server: [Self.key], client: [Self.key])
    let recorder = Recorder(world)
    let exchange = world.connect(streaming: .seconds(1))
    world.restartServer(secret: 4321) { $0.keys = [Self.key] }
    exchange.forgetFlows()
    exchange.send(count: 40, size: 100)
    world.run(for: .milliseconds(15))
    let resets = recorder.packets.filter { $0.direction == .toClient && $0.packet.flags == .rst }
    #expect(resets.allSatisfy { $0.packet.payloadLength == ResetToken.byteCount })
    world.run(for: .seconds(3))
    exchange.settle()
    let dials = world.client.dialCount
    for channel in world.client.channels.values {
      let forged = Packet.bare(
        from: channel.remote, to: channel.local, sequence: 1, acknowledgment: 0, flags: .rst,
        payload: resets.first?.packet.payload ?? [])
      world.client.receive([forged], at: world.now)
    }
    exchange.stream(for: .seconds(2), bothWays: false)
    world.run(for: .seconds(1))
    exchange.settle()
    #expect(world.client.dialCount == dials)
    #expect(!resets.isEmpty)
  }
}

extension Exchange {
  /// With what has arrived until now.
  var settled: Exchange {
    settle()
    return self
  }
}
