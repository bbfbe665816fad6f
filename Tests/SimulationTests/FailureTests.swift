import Engine
import Samples
import Testing
import Wire

/// Channels, hosts and links that fail.
@Suite(.withoutAndWithKey) struct FailureTests {
  @Test(arguments: [Duration.seconds(1), .seconds(10)])
  func serverRestart(_ pause: Duration) {
    let world = World()
    let exchange = world.connect(streaming: .seconds(2))
    world.conditions.isDown = true
    exchange.stream(for: pause)
    world.conditions.isDown = false
    world.restartServer(secret: 1234)
    exchange.forgetFlows()
    let start = world.now
    exchange.stream(for: .seconds(2))
    #expect(exchange.lastArrival.map { $0 > start } ?? false)
    let (sent, delivered) = (exchange.sent, exchange.delivered)
    exchange.stream(for: .seconds(10))
    // Two datagrams are under way at any time.
    #expect(exchange.delivered - delivered >= exchange.sent - sent - 2)
    #expect(world.server.channels.count == 10)
    #expect(world.client.channels.count == 10)
    expectHonest(world, exchange)
  }

  /// The RST of a restarted server is a hint: back at once, not after three probes.
  @Test func restartIsNoticedAtOnce() {
    let world = World()
    let exchange = world.connect(streaming: .seconds(2))
    world.restartServer(secret: 1234)
    exchange.forgetFlows()
    let start = world.now
    var back: Duration?
    let before = exchange.delivered
    while back == nil, world.now - start < .seconds(3) {
      exchange.stream(for: .milliseconds(10))
      if exchange.delivered > before { back = world.now - start }
    }
    #expect((back ?? .seconds(99)) < .milliseconds(150))
    #expect(world.traffic[1].resets > 0)
    expectHonest(world, exchange)
  }

  @Test(arguments: [true, false]) func outage(_ bothWays: Bool) {
    let world = World()
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    world.conditions.isDown = true
    exchange.stream(for: .seconds(10), bothWays: bothWays)
    #expect(world.client.disconnectedCount == 1)
    #expect(world.client.connectedCount == 1)
    world.conditions.isDown = false
    exchange.settle()
    let delivered = exchange.delivered
    exchange.stream(for: .milliseconds(1000), every: .milliseconds(5), bothWays: bothWays)
    #expect(exchange.delivered > delivered + 100)
    exchange.stream(for: .seconds(10), bothWays: true)
    let (sent, arrived) = (exchange.sent, exchange.delivered)
    exchange.stream(for: .seconds(5), bothWays: true)
    world.run(for: .milliseconds(100))
    exchange.settle()
    #expect(exchange.sent - sent <= exchange.delivered - arrived)
    #expect(world.client.channels.count == 10)
    #expect(world.client.connectedCount == 2)
    expectHonest(world, exchange)
  }

  /// Nothing is sent during the outage, then the app starts again.
  @Test func outageOfASilentApp() {
    let world = World()
    let exchange = world.connect(streaming: .seconds(2))
    world.run(for: .seconds(60))
    world.conditions.isDown = true
    world.run(for: .seconds(120))
    world.conditions.isDown = false
    exchange.stream(for: .seconds(2))
    let (sent, arrived) = (exchange.sent, exchange.delivered)
    exchange.stream(for: .seconds(3))
    world.run(for: .milliseconds(100))
    exchange.settle()
    #expect(exchange.sent - sent <= exchange.delivered - arrived)
    expectHonest(world, exchange)
  }

  /// The link is down, then up with a new address: the driver tells.
  @Test func networkChangeDialsAtOnce() {
    let world = World()
    let exchange = world.connect(streaming: .seconds(2))
    world.conditions.isDown = true
    exchange.stream(for: .seconds(60))
    world.conditions.isDown = false
    let dials = world.client.dialCount
    world.client.networkChanged(at: world.now)
    world.collect()
    world.run(for: .milliseconds(1))
    #expect(world.client.dialCount > dials)
    #expect(world.client.connectedCount == 1)
    let before = exchange.delivered
    exchange.stream(for: .milliseconds(100))
    #expect(exchange.delivered > before)
    #expect(world.client.connectedCount == 2)
    expectHonest(world, exchange)
  }

  /// A network change that nobody notices is no outage.
  @Test func harmlessNetworkChange() {
    let world = World()
    let exchange = world.connect(streaming: .seconds(1), bothWays: true)
    world.client.networkChanged(at: world.now)
    exchange.stream(for: .seconds(1), bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    #expect(world.client.dialCount == 10)
    #expect(world.client.connectedCount == 1)
    #expect(world.client.disconnectedCount == 0)
  }

  /// One of ten channels is dead in both directions: it is replaced, and as soon as it is doubted it
  /// carries no datagram.
  @Test(arguments: [true, false]) func blackholedChannel(_ bothWays: Bool) throws {
    let world = World { $0.schedule = .random }
    let exchange = world.connect(streaming: .seconds(2), bothWays: bothWays)
    let victim = try #require(world.client.channels.values.first { $0.remote.port == 10_004 })
    var firstLost: [World.Direction: Instant] = [:]
    var lastLost: [World.Direction: Instant] = [:]
    world.middlebox = { [unowned world] packet, direction in
      guard packet.source == victim.local || packet.destination == victim.local else {
        return packet
      }
      // A datagram's, by its size: frames may be sealed.
      if packet.payloadLength >= 200 {
        firstLost[direction] = firstLost[direction] ?? world.now
        lastLost[direction] = world.now
      }
      return nil
    }
    exchange.stream(for: .seconds(6), bothWays: bothWays)
    world.run(for: .milliseconds(100))
    #expect(firstLost.count == (bothWays ? 2 : 1))
    for (direction, first) in firstLost {
      let last = try #require(lastLost[direction])
      #expect(last - first <= .milliseconds(501))
    }
    #expect(exchange.lost < 30)
    let ports = world.client.channels.values.map(\.remote.port)
    #expect(ports.count { $0 == 10_004 } == 1)
    #expect(world.client.dialCount == 11)
    #expect(world.client.disconnectedCount == 0)
    expectHonest(world, exchange)
  }

  /// All channels are late once, and just then one of them dies for good.
  @Test func deadChannelBehindAnOutage() throws {
    let world = World()
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    let victim = try #require(world.client.channels.values.first { $0.remote.port == 10_004 })
    world.middlebox = { packet, _ in
      packet.source == victim.local || packet.destination == victim.local ? nil : packet
    }
    world.conditions.isDown = true
    exchange.stream(for: .milliseconds(1400), bothWays: true)
    world.conditions.isDown = false
    exchange.stream(for: .seconds(10), bothWays: true)
    #expect(!world.client.channels.values.contains(victim))
    #expect(world.client.channels.count == 10)
    expectHonest(world, exchange)
  }

  /// A channel to a port that never answers does not stop the others.
  @Test func portThatNeverAnswers() {
    let world = World(ports: 10_001...10_003)
    world.middlebox = { packet, _ in
      packet.source.port == 10_002 || packet.destination.port == 10_002 ? nil : packet
    }
    let exchange = world.connect(streaming: .seconds(30), bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    #expect(world.server.channels.count == 2)
    #expect(world.client.dialCount < 15)
  }

  /// Forged RSTs and FINs with exact sequence numbers, through trackers that believe them.
  @Test(arguments: [TCPFlags.rst, [.fin, .ack]], [World.Direction.toServer, .toClient])
  func forgedReset(_ flags: TCPFlags, _ direction: World.Direction) throws {
    let world = World()
    var latest: [Endpoint: (client: Packet?, server: Packet?)] = [:]
    world.middlebox = { packet, way in
      let client = way == .toServer ? packet.source : packet.destination
      var known = latest[client] ?? (nil, nil)
      if way == .toServer { known.client = packet } else { known.server = packet }
      latest[client] = known
      return packet
    }
    let exchange = world.connect(streaming: .seconds(3), bothWays: true)
    world.run(for: .milliseconds(700))
    expectHonest(world, exchange)
    let before = Set(world.client.channels.values)
    for tuple in before {
      let known = try #require(latest[tuple.local])
      let sender = try #require(direction == .toServer ? known.client : known.server)
      let receiver = try #require(direction == .toServer ? known.server : known.client)
      world.inject(
        .bare(
          from: sender.source, to: sender.destination, sequence: receiver.acknowledgment,
          acknowledgment: flags == .rst ? 0 : sender.acknowledgment, flags: flags,
          window: UInt16(sender.window)),
        direction)
    }
    world.run(for: .seconds(3))
    let after = Set(world.client.channels.values)
    #expect(before.isDisjoint(with: after))
    #expect(after.count == 10)
    world.run(for: .seconds(15))
    exchange.stream(for: .seconds(5), bothWays: true)
    world.run(for: .seconds(1))
    #expect(exchange.lost == 0)
    #expect(world.client.disconnectedCount == 0)
    #expect(world.traffic[0].resets + world.traffic[1].resets == (flags == .rst ? 10 : 0))
    expectHonest(world, exchange)
  }

  /// The same right before the server's Hello, or the client's first frame, of ten channels.
  @Test(arguments: [TCPFlags.rst, [.fin, .ack]], [World.Direction.toServer, .toClient])
  func forgedResetWhileOpening(_ flags: TCPFlags, _ direction: World.Direction) {
    let world = World()
    var hit: Set<Endpoint> = []
    world.middlebox = { [unowned world] packet, way in
      let server = way == .toClient ? packet.source : packet.destination
      let isHello = packet.firstByte == 0x16
      if way == direction, packet.payloadLength > 0, isHello == (way == .toClient),
        hit.insert(server).inserted
      {
        world.inject(
          .bare(
            from: packet.source, to: packet.destination, sequence: packet.sequence,
            acknowledgment: flags == .rst ? 0 : packet.acknowledgment, flags: flags), way)
      }
      return packet
    }
    world.connect()
    world.run(for: .seconds(15))
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(5), bothWays: true)
    world.run(for: .seconds(1))
    #expect(exchange.lost == 0)
    #expect(hit.count == 10)
    #expect(world.client.channels.count == 10)
    expectHonest(world, exchange)
  }

  /// RSTs forged while both sides send: lost is at most what was in flight.
  @Test func forgedResetUnderLoad() throws {
    let world = World()
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    var hits = 0
    world.middlebox = { packet, way in
      if way == .toClient, packet.payloadLength > 0, hits < 300, packet.sequence % 5 == 0 {
        hits += 1
        world.inject(
          .bare(
            from: packet.source, to: packet.destination, sequence: packet.end, acknowledgment: 0,
            flags: .rst), .toClient)
      }
      return packet
    }
    exchange.stream(for: .seconds(30), bothWays: true)
    world.middlebox = nil
    exchange.stream(for: .seconds(20), bothWays: true)
    world.run(for: .seconds(1))
    #expect(hits > 20)
    #expect(exchange.strangers == 0)
    #expect(exchange.lost * 100 < exchange.sent)
    #expect(world.client.channels.count == 10)
  }

  /// Random sequence numbers and flags from an outsider change nothing.
  @Test func blindForgery() {
    let world = World(ports: 10_001...10_002)
    world.connect()
    let exchange = Exchange(world)
    var random = SplitMix64(seed: 4)
    for _ in 0..<200 {
      for tuple in world.client.channels.values {
        world.client.receive(
          [
            .bare(
              from: tuple.remote, to: tuple.local,
              sequence: UInt32.random(in: 0 ... .max, using: &random),
              acknowledgment: UInt32.random(in: 0 ... .max, using: &random),
              flags: TCPFlags(rawValue: UInt8.random(in: 0..<64, using: &random) & ~2))
          ], at: world.now)
      }
      exchange.stream(for: .milliseconds(20), bothWays: true)
    }
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  /// The tail of a full window is lost: the sender goes on from what was acknowledged.
  @Test(arguments: [true, false]) func windowFullWithLostTail(_ keepsRuns: Bool) {
    let world = World(ports: 10_001...10_001)
    world.keepsRuns = keepsRuns
    world.connect()
    let exchange = Exchange(world)
    exchange.send(size: 100)
    world.run(for: .milliseconds(300))
    world.conditions.isDown = true
    // More than the 4 MiB that a sealed channel keeps in flight.
    for _ in 0..<80 { exchange.send(count: 40, size: 1400, merged: true) }
    #expect(world.client.counters[.windowFull] > 0)
    world.run(for: .milliseconds(100))
    world.conditions.isDown = false
    let before = exchange.delivered
    exchange.stream(for: .seconds(2), every: .milliseconds(20))
    #expect(exchange.delivered > before + 40)
    let (sent, arrived) = (exchange.sent, exchange.delivered)
    for _ in 0..<100 {
      exchange.send(count: 40, size: 1400, merged: true)
      world.run(for: .milliseconds(25))
    }
    world.run(for: .milliseconds(200))
    exchange.settle()
    #expect(exchange.sent - sent == exchange.delivered - arrived)
    expectHonest(world, exchange)
  }

  /// The NAT forgets all mappings: the server does not know the new four-tuples, and says so.
  @Test func rebinding() {
    let world = World()
    world.hasTrackers = false
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    world.middlebox = Middlebox.rebinding(by: 20_000)
    exchange.stream(for: .seconds(1), bothWays: true)
    // The client is back after two round trips; the server believes in the old channels that the
    // client has not named to it until it has not heard them for half a second.
    #expect(exchange.lost < 60)
    let (sent, delivered) = (exchange.sent, exchange.delivered)
    exchange.stream(for: .seconds(10), bothWays: true)
    world.run(for: .milliseconds(100))
    expectHonest(world, exchange)
    #expect(exchange.sent - sent <= exchange.delivered - delivered)
    #expect(world.client.channels.count == 10)
    // The flow kept its socket at the server.
    #expect(Set(world.server.takeArrivals().map(\.flow)).count <= 1)
    world.run(for: .seconds(800))
    #expect(world.server.channels.count == world.client.channels.count)
  }

  /// A client that was killed starts again with the same address and ports.
  @Test func clientRestart() {
    let world = World()
    world.hasTrackers = false
    world.connect()
    Exchange(world).stream(for: .seconds(1), bothWays: true)
    world.killClient()
    world.run(for: .milliseconds(100))
    world.addClient(
      Host(
        EngineConfiguration(
          role: .client(
            server: World.serverAddress, ports: PortSet([10_001...10_010]), maxChannels: 16)),
        address: IPAddress(ipv4: 0x0A00_0001), secret: 4242, at: world.now))
    let exchange = world.connect(streaming: .seconds(1))
    exchange.stream(for: .seconds(1), bothWays: true)
    world.run(for: .seconds(1))
    #expect(exchange.lost == 0)
    #expect(world.client.channels.count == 10)
    #expect(world.server.channels.count == 10)
  }

  /// Anything may happen, for an hour: the tables stay small and the pair recovers.
  @Test(arguments: UInt64(1)...3) func chaos(_ seed: UInt64) {
    let world = World(seed: seed)
    world.hasTrackers = false
    var random = SplitMix64(seed: seed)
    let exchange = Exchange(world)
    for _ in 0..<360 {
      world.conditions.lossPerMille = Int.random(in: -300...300, using: &random)
      world.conditions.duplicationPerMille = Int.random(in: -100...100, using: &random)
      world.conditions.jitter = .milliseconds(Int.random(in: 0...200, using: &random))
      world.conditions.latency = .milliseconds(Int.random(in: 0...600, using: &random))
      world.conditions.isDown = Int.random(in: 0..<8, using: &random) == 0
      if Int.random(in: 0..<20, using: &random) == 0 {
        world.restartServer(secret: random.next())
        exchange.forgetFlows()
      }
      if Int.random(in: 0..<10, using: &random) == 0 { world.client.networkChanged(at: world.now) }
      world.client.hasRoute = Int.random(in: 0..<10, using: &random) != 0
      exchange.stream(for: .seconds(10), every: .milliseconds(100), bothWays: true)
      #expect(world.client.channels.count <= 64)
      #expect(world.server.channels.count <= 64)
    }
    world.conditions = Conditions()
    world.client.hasRoute = true
    exchange.stream(for: .seconds(20), bothWays: true)
    let (sent, delivered) = (exchange.sent, exchange.delivered)
    exchange.stream(for: .seconds(5), bothWays: true)
    world.run(for: .milliseconds(100))
    exchange.settle()
    #expect(exchange.sent - sent <= exchange.delivered - delivered)
    #expect(exchange.strangers == 0)
    #expect(world.client.channels.count == 10)
  }

  /// A channel is closed only after its replacement is up; nothing is lost on the way.
  @Test func closeOfTheServer() {
    let world = World()
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    world.run(for: .seconds(1))
    world.server.close(at: world.now)
    world.run(for: .seconds(1))
    #expect(world.server.isClosed)
    #expect(world.client.disconnectedCount == 1)
    world.restartServer(secret: 5)
    exchange.forgetFlows()
    let (sent, arrived) = (exchange.sent, exchange.delivered)
    exchange.stream(for: .seconds(2))
    #expect(exchange.sent - sent <= exchange.delivered - arrived + 5)
    expectHonest(world, exchange)
  }

  @Test(arguments: [0, 300]) func closeOfTheClient(_ loss: Int) {
    let world = World(seed: 9)
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    world.conditions.lossPerMille = loss
    world.client.close(at: world.now)
    world.collect()
    #expect(!world.client.isClosed)
    world.run(for: .seconds(7))
    #expect(world.client.isClosed)
    #expect(world.client.channels.isEmpty)
    if loss == 0 {
      #expect(world.server.channels.isEmpty)
      #expect(world.traffic[0].resets + world.traffic[1].resets == 0)
    }
    expectHonest(world, exchange)
  }
}
