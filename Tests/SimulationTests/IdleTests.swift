import Engine
import Samples
import Testing
import Wire

/// What happens when nothing happens.
@Suite(.withoutAndWithKey) struct IdleTests {
  static let carriers: [[Carrier]] = [[.tcp], [.udp], [.icmp], [.tcp, .udp]]

  @Test(arguments: carriers) func aDayOfSilence(_ carriers: [Carrier]) {
    let world = World(configure: World.carriers(carriers))
    let exchange = world.connect(streaming: .seconds(1))
    world.run(for: .seconds(300))
    let all = 10 * carriers.count
    #expect(world.client.channels.count == all)
    world.run(for: .seconds(1000))
    #expect(world.client.channels.count == carriers.count)
    #expect(world.server.channels.count == carriers.count)
    world.resetTraffic()
    world.run(for: .seconds(86_400))
    #expect(byteCount(world) < 1_000_000)
    #expect(world.client.disconnectedCount == 0)
    #expect(world.client.channels.count == carriers.count)
    // Traffic brings all channels back, and loses nothing.
    exchange.send(size: 100)
    world.connect()
    #expect(world.client.channels.count == all)
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  /// Already in the first minutes, when all channels are there.
  @Test(arguments: carriers) func sixMinutesOfSilence(_ carriers: [Carrier]) {
    let world = World(configure: World.carriers(carriers))
    let exchange = world.connect(streaming: .seconds(1))
    world.run(for: .seconds(10))
    world.resetTraffic()
    world.run(for: .seconds(360))
    #expect(byteCount(world) < 1_000_000 / 240)
    // A keepalive is a probe, its answer, and on TCP the answer's acknowledgment.
    #expect(world.traffic[1].pureAcknowledgments == 0)
    let answers = carriers == [.tcp] ? world.traffic[1].packets : 0
    #expect(world.traffic[0].pureAcknowledgments == answers)
    expectHonest(world, exchange)
  }

  /// What passed, with Ethernet's headers.
  private func byteCount(_ world: World) -> Int {
    world.traffic.reduce(0) { $0 + $1.bytes + 14 * $1.packets }
  }

  /// The NAT forgets UDP and ICMP after half a minute. What the target sends then finds its way, and so does what it
  /// sends back at once.
  @Test(arguments: carriers, [20, 45, 300, 720, 3600])
  func eitherSideBreaksTheSilence(_ carriers: [Carrier], _ seconds: Int) {
    let world = World {
      $0.carriers = carriers
      $0.idleTimeout = .seconds(7200)
    }
    world.connect()
    let exchange = Exchange(world)
    let apps = UInt8(1)...8
    for app in apps { exchange.send(app: app, size: 100) }
    world.run(for: .seconds(seconds))
    for app in apps { exchange.reply(app: app, count: 5, size: 100) }
    world.run(for: .seconds(seconds))
    for app in apps {
      exchange.send(app: app, size: 100)
      world.run(for: .milliseconds(10))
      exchange.reply(app: app, size: 100)
    }
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    #expect(world.client.disconnectedCount == 0)
  }

  /// One channel is heard often enough for a NAT that forgets after half a minute.
  @Test(arguments: carriers) func keepsTheMappingFresh(_ carriers: [Carrier]) {
    let world = World(configure: World.carriers(carriers))
    world.run(for: .seconds(2000))
    var last = world.now
    var longest = Duration.zero
    world.middlebox = { [unowned world] packet, _ in
      longest = max(longest, world.now - last)
      last = world.now
      return packet
    }
    world.run(for: .seconds(3600))
    #expect(longest < .seconds(30))
    #expect(longest > .seconds(15))
  }

  @Test func flowsAreReleasedAtTheServerFirst() throws {
    let world = World(ports: 10_001...10_002) { $0.idleTimeout = .seconds(60) }
    world.connect()
    let exchange = Exchange(world)
    exchange.send(app: 1, size: 10)
    world.run(for: .seconds(50))
    exchange.reply(app: 1, size: 10)
    let start = world.now
    world.run(for: .seconds(100))
    let isClose: (Event) -> Bool = { if case .flowClosed = $0 { true } else { false } }
    let server = try #require(world.server.events.first { isClose($0.event) })
    let client = try #require(world.client.events.first { isClose($0.event) })
    #expect(server.time - start >= .seconds(60) && server.time - start < .seconds(61))
    #expect(client.time > server.time)
    // The same app is a new flow, under another id.
    exchange.send(app: 1, size: 10)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.delivered == 3)
  }

  @Test func sessionEndsAfterItsLastChannel() throws {
    let world = World(ports: 10_001...10_002) { $0.idleTimeout = .seconds(60) }
    world.connect()
    let exchange = Exchange(world)
    exchange.send(size: 10)
    world.run(for: .seconds(1))
    world.client.close(at: world.now)
    let start = world.now
    world.run(for: .seconds(100))
    let ended = try #require(
      world.server.events.first { if case .sessionEnded = $0.event { true } else { false } })
    #expect(ended.time - start >= .seconds(60) && ended.time - start <= .seconds(63))
    #expect(world.server.nextDeadline == .distantFuture)
    expectHonest(world, exchange)
  }

  /// A client that vanished is forgotten.
  @Test func vanishedClient() {
    let world = World()
    _ = world.connect(streaming: .seconds(2), bothWays: true)
    world.middlebox = { packet, direction in direction == .toServer ? nil : packet }
    world.run(for: .seconds(700))
    #expect(world.server.channels.isEmpty)
    world.run(for: .seconds(700))
    #expect(
      world.server.count { if case .sessionEnded = $0 { true } else { false } } == 1)
  }
}
