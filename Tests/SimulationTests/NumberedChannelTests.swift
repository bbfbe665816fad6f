import Engine
import Samples
import Testing
import Wire

/// What channels on UDP and on ICMP have in common: they are found by a number.
@Suite(.withoutAndWithKey) struct NumberedChannelTests {
  @Test(arguments: UDPTests.carriers + ICMPTests.carriers)
  func badPath(_ carriers: [Carrier]) {
    let world = World(ports: 10_001...10_003, configure: World.carriers(carriers))
    world.connect()
    world.conditions = Conditions(
      jitter: .milliseconds(50), lossPerMille: 100, duplicationPerMille: 100)
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(20), bothWays: true)
    world.conditions = Conditions()
    world.run(for: .seconds(5))
    expectHonest(world, exchange)
    #expect(exchange.lost * 100 < exchange.sent * 20)
    let now = exchange.lost
    exchange.stream(for: .seconds(5), bothWays: true)
    world.run(for: .seconds(1))
    exchange.settle()
    #expect(exchange.lost == now)
  }

  /// Whichever message of the opening is lost, it is sent again.
  @Test(arguments: [Carrier.udp, .icmp], [1, 2, 3, 4, 5])
  func lostOpening(_ carrier: Carrier, _ number: Int) {
    let world = World(ports: 10_001...10_001, configure: World.carriers([carrier]))
    var seen = 0
    world.middlebox = { packet, _ in
      seen += 1
      return seen == number ? nil : packet
    }
    let exchange = Exchange(world)
    exchange.send(size: 10)
    world.run(for: .seconds(2))
    expectHonest(world, exchange)
    #expect(exchange.delivered == 1)
    #expect(world.client.dialCount == 1)
  }

  @Test(arguments: [Carrier.udp, .icmp], [Duration.milliseconds(100), .seconds(10)])
  func serverRestart(_ carrier: Carrier, _ downTime: Duration) {
    let world = World(configure: World.carriers([carrier]))
    let exchange = world.connect(streaming: .seconds(1), bothWays: true)
    world.conditions.isDown = true
    exchange.stream(for: downTime)
    world.restartServer(secret: 1234, configure: World.carriers([carrier]))
    exchange.forgetFlows()
    world.conditions.isDown = false
    let restart = world.now
    let before = world.server.arrivalCount
    let returned = world.run(upTo: .seconds(3)) {
      exchange.send(size: 100)
      return world.server.arrivalCount > before
    }
    #expect((returned ?? .seconds(9)) < .seconds(2))
    #expect(world.now - restart < .seconds(2))
  }

  @Test(arguments: UDPTests.carriers + [[.icmp]])
  func aDayOfSilence(_ carriers: [Carrier]) {
    let world = World(configure: World.carriers(carriers))
    let exchange = world.connect(streaming: .seconds(1))
    world.run(for: .seconds(1300))
    #expect(world.client.channels.count == carriers.count)
    world.resetTraffic()
    world.run(for: .seconds(86_400))
    let bytes = world.traffic[0].bytes + world.traffic[1].bytes
    #expect(bytes < 1_000_000 * carriers.count)
    #expect(world.client.disconnectedCount == 0)
    #expect(world.client.channels.count == carriers.count)
    exchange.send(size: 100)
    world.connect()
    #expect(world.client.channels.count == 10 * carriers.count)
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  /// A NAT forgets a mapping after 30 s of silence: the server reaches the client at any time all the same.
  @Test(arguments: UDPTests.carriers + [[.icmp]])
  func aSilentClientIsReached(_ carriers: [Carrier]) {
    let world = World {
      $0.carriers = carriers
      $0.idleTimeout = .seconds(6000)
    }
    let exchange = world.connect(streaming: .seconds(1))
    for pause in [40, 100, 290, 900, 2000] {
      world.run(for: .seconds(pause))
      exchange.reply(count: 20, size: 100)
      world.run(for: .seconds(1))
      exchange.settle()
      #expect(exchange.lost == 0, "after \(pause) s")
    }
    expectHonest(world, exchange)
  }

  @Test(arguments: [([Carrier.tcp, .udp], 0), ([.tcp, .udp], 300), ([.icmp], 0), ([.icmp], 200)])
  func closeOfEitherEnd(_ carriers: [Carrier], _ loss: Int) {
    for closesClient in [true, false] {
      let world = World(configure: World.carriers(carriers))
      world.connect()
      world.conditions.lossPerMille = loss
      (closesClient ? world.client : world.server).close(at: world.now)
      world.run(for: .seconds(8))
      #expect(world.server.channels.isEmpty || !closesClient)
      #expect((closesClient ? world.client : world.server).isClosed)
    }
  }
}
