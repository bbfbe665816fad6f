import Engine
import Samples
import Testing
import Wire

/// Channels, links and networks that fail.
@Suite(.withoutAndWithKey) struct FailureTests {
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
    // Where all lost alike for long there were to be as many as may be.
    let hasGrown = world.client.count { if case .moreChannels = $0 { true } else { false } } > 0
    #expect(world.client.channels.count == (hasGrown ? 16 : 10))
  }
}
