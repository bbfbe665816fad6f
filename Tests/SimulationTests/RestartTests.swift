import Engine
import Testing
import Wire

/// Programs that end, and others that take their places.
@Suite(.withoutAndWithKey) struct RestartTests {
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
