import Engine
import Samples
import Testing
import Wire

/// What happens when nothing happens.
@Suite(.withoutAndWithKey) struct IdleTests {
  @Test func aDayOfSilence() {
    let world = World()
    world.connect()
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(1))
    world.run(for: .seconds(300))
    #expect(world.client.channels.count == 10)
    world.run(for: .seconds(1000))
    #expect(world.client.channels.count == 1)
    #expect(world.server.channels.count == 1)
    world.resetTraffic()
    world.run(for: .seconds(86_400))
    let bytes = world.traffic[0].bytes + world.traffic[1].bytes
    #expect(bytes < 1_000_000)
    #expect(world.client.disconnectedCount == 0)
    #expect(world.client.channels.count == 1)
    // Traffic brings all channels back, and loses nothing.
    exchange.send(size: 100)
    world.connect()
    #expect(world.client.channels.count == 10)
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  /// The first channel is heard often enough for a NAT that forgets after half a minute.
  @Test func keepsTheMappingFresh() {
    let world = World()
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
    world.connect()
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(2), bothWays: true)
    world.middlebox = { packet, direction in direction == .toServer ? nil : packet }
    world.run(for: .seconds(700))
    #expect(world.server.channels.isEmpty)
    world.run(for: .seconds(700))
    #expect(
      world.server.count { if case .sessionEnded = $0 { true } else { false } } == 1)
  }
}
