import Engine
import Samples
import Testing
import Wire

/// Something on the way ends TCP connections: it is found, told, and gone around. Bad networks that do not
/// are never taken for it.
@Suite(.withoutAndWithKey) struct ProxyTests {
  /// A segment of the client's is lost in front of a real TCP, and nobody sends it again.
  @Test(arguments: [true, false]) func aTCPThatWaits(isSelective: Bool) throws {
    let exchange = Self.exchange(ports: 10_001...10_002)
    let world = exchange.world
    Self.stall(world, isSelective: isSelective)
    Self.stream(exchange, for: .seconds(3))
    // Told once at each end: the server hears it on the channels that take their places.
    #expect(Self.told(world.client) == [true] && Self.told(world.server) == [true])
    for host in [world.client, world.server] {
      let channels = try #require(host.session(at: world.now)).channels
      for channel in channels where channel.state == .healthy {
        #expect(channel.isProxied == (channel.carrier == .tcp))
        #expect(channel.carrier == .udp || channel.share == 0)
      }
      #expect(channels.count { $0.isProxied } >= 1)
    }
    world.run(for: .milliseconds(100))
    exchange.settle()
    // What was on the way until the third acknowledgment, on one of two channels or on both.
    #expect(exchange.lost < 60)
    let lost = exchange.lost
    Self.stream(exchange, for: .seconds(5))
    world.run(for: .milliseconds(100))
    expectHonest(world, exchange)
    #expect(exchange.lost == lost)
    #expect(world.client.disconnectedCount == 0)
  }

  /// There is nothing but fake TCP: it is said that there should be, and other connections go on.
  @Test func aTCPThatWaitsAndNoOtherWay() {
    let world = World(ports: 10_001...10_001)
    world.hasTrackers = false
    let exchange = world.connect(streaming: .seconds(1), bothWays: true)
    Self.stall(world, isSelective: true)
    exchange.stream(for: .seconds(1), bothWays: true)
    let lost = exchange.lost
    exchange.stream(for: .seconds(5), bothWays: true)
    world.run(for: .milliseconds(100))
    expectHonest(world, exchange)
    #expect(Self.told(world.client) == [false])
    #expect(exchange.lost - lost <= 2)
    #expect(world.client.dialCount == 2)
  }

  /// The stream comes in other segments than it was sent in.
  @Test func aStreamThatIsCutAnew() {
    let exchange = Self.exchange(ports: 10_001...10_001)
    let world = exchange.world
    world.middlebox = RecuttingSender(ports: Self.tcpPorts(world)).pass
    Self.stream(exchange, for: .seconds(3))
    #expect(Self.told(world.client) == [true] && Self.told(world.server) == [true])
    world.run(for: .milliseconds(100))
    exchange.settle()
    let lost = exchange.lost
    Self.stream(exchange, for: .seconds(3))
    world.run(for: .milliseconds(100))
    expectHonest(world, exchange)
    #expect(exchange.lost == lost)
  }

  /// What arrived long ago comes again.
  @Test func aTCPThatSendsAgain() {
    let world = World(ports: 10_001...10_001, configure: World.carriers([.tcp, .udp]))
    world.connect()
    let exchange = Exchange(world)
    let sender = RepeatingSender(world, after: .milliseconds(2500))
    world.middlebox = sender.pass
    // Few bytes, so that what comes again is not far behind.
    for round in UInt8(0)..<100 {
      exchange.send(app: 1 + round % 8, size: 100)
      exchange.reply(app: 1 + round % 8, size: 100)
      world.run(for: .milliseconds(50))
      sender.repeatDue()
    }
    #expect(Self.told(world.client) == [true] && Self.told(world.server) == [true])
    world.run(for: .milliseconds(100))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  /// Ports that were proxied are so for new channels, too; after an outage they are tried again.
  @Test func portsAreRemembered() throws {
    let exchange = Self.exchange(ports: 10_001...10_001)
    let world = exchange.world
    Self.stall(world, isSelective: true)
    Self.stream(exchange, for: .seconds(3))
    world.middlebox = nil
    world.client.reconnect(at: world.now)
    Self.stream(exchange, for: .seconds(2))
    #expect(try Self.isProxied(world.client, at: world.now))
    #expect(try Self.isProxied(world.server, at: world.now))
    world.conditions.isDown = true
    world.run(for: .seconds(1))
    Self.stream(exchange, for: .seconds(5))
    world.conditions.isDown = false
    Self.stream(exchange, for: .seconds(5))
    world.client.reconnect(at: world.now)
    Self.stream(exchange, for: .seconds(2))
    #expect(try !Self.isProxied(world.client, at: world.now))
    #expect(Self.told(world.client).count == 1)
  }

  /// A bad network.
  struct Weather: Sendable, CustomTestStringConvertible {
    var loss = 0
    var duplication = 0
    var jitter = Duration.zero
    var delay = Duration.zero
    var sendsResets = false
    var latency = Duration.milliseconds(10)
    var testDescription: String {
      "loss \(loss), repeated \(duplication), jitter \(jitter), one port slower by \(delay), "
        + "RST \(sendsResets), latency \(latency)"
    }
  }

  @Test(arguments: [
    Weather(loss: 50), Weather(jitter: .milliseconds(50)),
    Weather(duplication: 300, jitter: .milliseconds(150)), Weather(duplication: 1000),
    Weather(loss: 100, duplication: 500, jitter: .milliseconds(300)),
    Weather(loss: 20, duplication: 200, jitter: .milliseconds(100), latency: .seconds(1)),
    Weather(loss: 10, delay: .milliseconds(40)), Weather(loss: 20, sendsResets: true),
  ])
  func badNetworksAreNoProxies(_ weather: Weather) throws {
    let world = World(ports: 10_001...10_003)
    world.hasTrackers = false
    world.connect()
    world.conditions.latency = weather.latency
    world.conditions.lossPerMille = weather.loss
    world.conditions.duplicationPerMille = weather.duplication
    world.conditions.jitter = weather.jitter
    world.lanes[10_001] = Lane(delay: weather.delay)
    let exchange = Exchange(world)
    for second in 0..<8 {
      // A burst, a stream one way, one both ways, silence.
      for _ in 0..<6 { exchange.send(count: 40, size: 1200, merged: true) }
      exchange.stream(for: .milliseconds(300), every: .milliseconds(2), size: nil)
      Self.stream(exchange, for: .milliseconds(500))
      if weather.sendsResets, second % 2 == 0 { Self.reset(world) }
      world.run(for: .milliseconds(200))
    }
    #expect(Self.told(world.client).isEmpty && Self.told(world.server).isEmpty)
    for host in [world.client, world.server] {
      let session = try #require(host.session(at: world.now))
      #expect(session.channels.allSatisfy { !$0.isProxied })
    }
    #expect(exchange.delivered > 1000)
  }

  // MARK: -

  /// Fake TCP and UDP to these ports, in use by eight apps, where no tracker judges what a proxy sends.
  private static func exchange(ports: ClosedRange<UInt16>) -> Exchange {
    let world = World(ports: ports, configure: World.carriers([.tcp, .udp]))
    world.hasTrackers = false
    world.connect()
    let exchange = Exchange(world)
    stream(exchange, for: .seconds(1))
    return exchange
  }

  /// From now on a real TCP waits for a segment on each of the client's connections.
  private static func stall(_ world: World, isSelective: Bool) {
    world.middlebox =
      StalledReceiver(world, ports: tcpPorts(world), isSelective: isSelective).pass
  }

  /// Datagrams of eight apps both ways, on channels of every carrier.
  private static func stream(_ exchange: Exchange, for duration: Duration) {
    let world = exchange.world
    let end = world.now + duration
    var round = UInt8(0)
    while world.now < end {
      exchange.send(app: 1 + round % 8, size: 300)
      exchange.reply(app: 1 + round % 8, size: 300)
      world.run(for: .milliseconds(5))
      round &+= 1
    }
    exchange.settle()
  }

  private static func tcpPorts(_ world: World) -> Set<UInt16> {
    Set(
      world.client.channels.filter { world.client.carrier(channel: $0.key) == .tcp }
        .map(\.value.local.port))
  }

  private static func isProxied(_ host: Host, at now: Instant) throws -> Bool {
    try #require(host.session(at: now)).channels.contains { $0.isProxied }
  }

  /// What a host was told of proxies: whether it has other carriers.
  private static func told(_ host: Host) -> [Bool] {
    host.events.compactMap {
      if case .proxied(_, _, _, let hasOthers) = $0.event { hasOthers } else { nil }
    }
  }

  /// An RST from either end into each channel.
  private static func reset(_ world: World) {
    for tuple in world.client.channels.values {
      for (from, to, direction) in [
        (tuple.remote, tuple.local, World.Direction.toClient),
        (tuple.local, tuple.remote, .toServer),
      ] {
        world.inject(
          .bare(from: from, to: to, sequence: 0, acknowledgment: 0, flags: .rst), direction)
      }
    }
  }
}
