import Engine
import Samples
import Testing
import Wire

/// Channels that make room for others before a network ends them.
@Suite(.withoutAndWithKey) struct RotationTests {
  /// A network that carries so many bytes of a connection, both ways together, and nothing more of it.
  private static func freezes(after limit: Int) -> World.Middlebox {
    var carried: [FourTuple: Int] = [:]
    return { packet, direction in
      let tuple =
        direction == .toServer
        ? FourTuple(local: packet.source, remote: packet.destination)
        : FourTuple(local: packet.destination, remote: packet.source)
      carried[tuple, default: 0] += packet.bytes.count
      return carried[tuple]! > limit ? nil : packet
    }
  }

  private static func world(
    _ rotation: Rotation, carriers: [Carrier] = [.tcp]
  ) -> World {
    let world = World(ports: 10_001...10_006) {
      $0.rotation = rotation
      $0.carriers = carriers
    }
    world.connect()
    return world
  }

  /// Ten seconds of a hundred datagrams a second each way.
  private static func exchange(on world: World, _ sizes: (up: Int, down: Int)) -> Exchange {
    let exchange = Exchange(world)
    for _ in 0..<1000 {
      exchange.send(size: sizes.up)
      exchange.reply(size: sizes.down)
      world.run(for: .milliseconds(10))
    }
    world.run(for: .seconds(1))
    exchange.settle()
    return exchange
  }

  /// Each channel has another one in its place in time, and the app notices nothing.
  @Test(arguments: Carrier.allCases)
  func channelsAgeAtDifferentTimes(_ carrier: Carrier) {
    let world = Self.world(Rotation(age: .seconds(40)), carriers: [carrier])
    let first = Set(world.client.channels.values)
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(20), every: .milliseconds(20), bothWays: true)
    #expect(Set(world.client.channels.values) == first)
    exchange.stream(for: .seconds(25), every: .milliseconds(20), bothWays: true)
    world.run(for: .seconds(2))
    exchange.settle()
    #expect(first.isDisjoint(with: world.client.channels.values))
    #expect(world.client.channels.count == 6 && world.server.channels.count == 6)
    #expect(exchange.lost == 0)
    let opened = world.client.events.filter { if case .dial = $0.event { true } else { false } }
    #expect(Set(opened.map(\.time)).count >= 6, "not all at once")
    expectHonest(world, exchange)
  }

  /// The longest time an idle client's only channel is up is bounded as well.
  @Test func idleChannelsAge() {
    let world = Self.world(Rotation(age: .seconds(3600)))
    world.run(for: .seconds(1800))
    #expect(world.client.channels.count == 1)
    let last = world.client.channels.values.first
    world.run(for: .seconds(3600))
    #expect(world.client.channels.count == 1)
    #expect(world.client.channels.values.first != last)
    #expect(world.client.disconnectedCount == 0)
  }

  /// A network that freezes a connection after 16 kB loses nothing, because none comes to that.
  @Test(arguments: Carrier.allCases, [(60, 200), (1000, 1000)])
  func connectionsAreFrozen(_ carrier: Carrier, sizes: (up: Int, down: Int)) {
    let world = Self.world(Rotation(bytes: 16 << 10), carriers: [carrier])
    world.middlebox = Self.freezes(after: 16 << 10)
    let exchange = Self.exchange(on: world, sizes)
    #expect(exchange.lost == 0)
    let dials = sizes.up == 60 ? 18...80 : 120...400
    #expect(dials.contains(world.client.dialCount), "\(world.client.dialCount) connections")
    #expect(world.server.channels.count <= 24)
    expectHonest(world, exchange)
  }

  /// The same, and the kernel draws source ports from few: the network counts on where a connection has the ports
  /// of one before.
  @Test(arguments: [Carrier.tcp, .udp]) func portsRest(_ carrier: Carrier) {
    let world = Self.world(Rotation(bytes: 16 << 10), carriers: [carrier])
    world.client.drawnPorts = 40_000...40_499
    world.middlebox = Self.freezes(after: 16 << 10)
    let exchange = Self.exchange(on: world, (1000, 1000))
    #expect(exchange.lost == 0)
    #expect((120...400).contains(world.client.dialCount), "\(world.client.dialCount) connections")
    expectHonest(world, exchange)
  }

  /// Probes of the packet size would take too much of a small budget: packets stay small.
  @Test(arguments: [UInt64(16) << 10, 1 << 20]) func smallBudgetsAreNotProbed(bytes: UInt64) {
    let world = World(ports: 10_001...10_006) { $0.rotation = Rotation(bytes: bytes) }
    var largest = 0
    world.middlebox = { packet, _ in
      largest = max(largest, packet.bytes.count)
      return packet
    }
    world.connect()
    let isSmall = bytes < 512 << 10
    #expect(isSmall ? largest < 1000 : largest == 1500)
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(5), every: .milliseconds(20), size: 1200, bothWays: true)
    world.run(for: .seconds(1))
    exchange.settle()
    #expect(exchange.lost == 0)
    #expect(isSmall ? (1200...1280).contains(largest) : largest == 1500)
    for host in [world.client, world.server] {
      #expect(
        host.session(at: world.now)?.largestDatagram
          == (isSmall ? 1280 : 1500) - 40 - Protection.overhead)
    }
  }

  /// The same network, and channels that do not know of it.
  @Test func withoutABudgetTheyAreLost() {
    let world = Self.world(Rotation())
    world.middlebox = Self.freezes(after: 16 << 10)
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(10), size: 1000, bothWays: true)
    #expect(exchange.lost > 100)
  }

  /// Where no other channel can be opened, one that is spent still carries.
  @Test func whatIsSpentIsBetterThanNothing() {
    let world = Self.world(Rotation(bytes: 64 << 10))
    world.client.hasRoute = false
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(10), size: 1000, bothWays: true)
    #expect(exchange.lost <= 2)
    let session = world.client.session(at: world.now)
    #expect(session?.channels.allSatisfy { $0.state == .spent } == true)
    world.client.hasRoute = true
    exchange.stream(for: .seconds(5), size: 1000, bothWays: true)
    #expect(world.client.dialCount > 6)
    #expect(exchange.lost <= 4)
    expectHonest(world, exchange)
  }

  /// A server keeps to the budget by itself: what it sends before the client has said anything is within it.
  @Test func serverKeepsToTheBudget() throws {
    let world = Self.world(Rotation(bytes: 64 << 10))
    let exchange = Exchange(world)
    exchange.send()
    world.run(for: .milliseconds(100))
    exchange.settle()
    for channel in world.server.channels.values {
      world.lanes[channel.local.port] = Lane(blackholed: [.toServer])
    }
    for _ in 0..<40 {
      exchange.reply(count: 10, size: 1000)
      world.run(for: .milliseconds(1))
    }
    let channels = try #require(world.server.session(at: world.now)).channels
    let spent = channels.filter { $0.state == .spent }
    #expect(spent.count >= 4)
    // Six channels of 64 kB are less than the 400 kB there were: the rest goes on any of them.
    #expect(channels.allSatisfy { $0.sent.bytes > 30_000 })
  }
}
