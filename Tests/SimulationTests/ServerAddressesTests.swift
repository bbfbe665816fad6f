import Engine
import Samples
import Testing
import Wire

/// A server with several addresses: the first one that answers is taken (RFC 8305).
@Suite(.withoutAndWithKey) struct ServerAddressesTests {
  static let dead = IPAddress("198.51.100.1")!
  static let other = IPAddress("203.0.113.9")!

  /// A world whose client was told of these addresses, none of which it has dialled yet.
  private static func world(
    _ addresses: [IPAddress], carriers: [Carrier] = [.tcp],
    ports: ClosedRange<UInt16> = 10_001...10_010
  ) -> World {
    let world = World(ports: ports, configure: World.carriers(carriers))
    world.otherAddresses = [other]
    world.client.setServers(addresses, at: world.now)
    return world
  }

  /// The addresses of the dials that were asked for, each with the time of its first one.
  private static func firstDials(_ world: World, since start: Instant) -> [IPAddress: Duration] {
    var first: [IPAddress: Duration] = [:]
    for (time, event) in world.client.events where time >= start {
      guard case .dial(_, _, let remote) = event, first[remote.address] == nil else { continue }
      first[remote.address] = time - start
    }
    return first
  }

  private static func answered(_ world: World) -> [IPAddress] {
    world.client.events.compactMap {
      if case .serverAnswered(let address) = $0.event { address } else { nil }
    }
  }

  private static func channelAddresses(_ world: World) -> Set<IPAddress> {
    Set(world.client.channels.values.map(\.remote.address))
  }

  @Test(arguments: [[Carrier.tcp], [.udp], [.tcp, .udp]])
  func deadFirstAddressCostsAQuarterOfASecond(_ carriers: [Carrier]) throws {
    let world = Self.world([Self.dead, Self.other], carriers: carriers)
    let start = world.now
    let time = try #require(
      world.run(upTo: .seconds(5)) { world.client.connectedCount == 1 })
    #expect((Duration.milliseconds(250)...Duration.milliseconds(400)).contains(time))
    let dials = Self.firstDials(world, since: start)
    #expect(dials[Self.dead] == .zero && dials[Self.other] == .milliseconds(250))
    world.run(for: .seconds(2))
    #expect(Self.answered(world) == [Self.other])
    #expect(world.client.channels.count == 10 * carriers.count)
    #expect(Self.channelAddresses(world) == [Self.other])
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(2), bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  @Test(arguments: [UInt16(10_001), 10_010])
  func addressesFollowEachOther(_ lastPort: UInt16) throws {
    let addresses = (1...4).map { IPAddress("198.51.100.\($0)")! } + [Self.other]
    let world = Self.world(addresses, ports: 10_001...lastPort)
    let start = world.now
    let time = try #require(
      world.run(upTo: .seconds(5)) { world.client.connectedCount == 1 })
    #expect((Duration.milliseconds(1000)...Duration.milliseconds(1150)).contains(time))
    let dials = Self.firstDials(world, since: start)
    for (index, address) in addresses.enumerated() {
      #expect(dials[address] == .milliseconds(250 * index), "\(index)")
    }
  }

  /// The answer is on its way when the second address is dialled.
  @Test func slowFirstAddressWins() throws {
    let world = Self.world([World.serverAddress, Self.other])
    world.conditions.latency = .milliseconds(200)
    world.middlebox = { packet, _ in
      // The way to the other one is longer still.
      let isOther = [packet.source, packet.destination].contains { $0.address == Self.other }
      return isOther ? nil : packet
    }
    _ = try #require(world.run(upTo: .seconds(5)) { world.client.connectedCount == 1 })
    world.run(for: .seconds(3))
    #expect(Self.answered(world) == [World.serverAddress])
    #expect(Self.channelAddresses(world) == [World.serverAddress])
    #expect(world.client.channels.count == 10)
  }

  /// Where there is no way to an address, the next one is dialled at once.
  @Test func noRouteCostsNothing() throws {
    let world = World()
    world.otherAddresses = [Self.other]
    world.client.unreachable = [Self.dead]
    world.client.setServers([Self.dead, Self.other], at: world.now)
    let time = try #require(
      world.run(upTo: .seconds(5)) { world.client.connectedCount == 1 })
    #expect(time < .milliseconds(150))
    #expect(Self.answered(world) == [Self.other])
  }

  /// Both answer; the second one is used when the first one does not any more, and the session goes on.
  @Test func anotherAddressTakesOver() throws {
    let world = Self.world([World.serverAddress, Self.other])
    _ = try #require(world.run(upTo: .seconds(5)) { world.client.connectedCount == 1 })
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(2), bothWays: true)
    #expect(Self.firstDials(world, since: world.now - .seconds(10))[Self.other] == nil)
    world.middlebox = { packet, _ in
      let isFirst = [packet.source, packet.destination].contains {
        $0.address == World.serverAddress
      }
      return isFirst ? nil : packet
    }
    let delivered = exchange.delivered
    exchange.stream(for: .seconds(5))
    #expect(exchange.delivered > delivered)
    let (sent, arrived) = (exchange.sent, exchange.delivered)
    exchange.stream(for: .seconds(2), bothWays: true)
    world.run(for: .seconds(1))
    #expect(exchange.sent - sent == exchange.delivered - arrived)
    #expect(Self.answered(world) == [World.serverAddress, Self.other])
    #expect(world.server.count { if case .sessionEnded = $0 { true } else { false } } == 0)
  }

  /// A list that still has the address in use changes nothing; one that has not moves the channels.
  @Test func listsAreFollowed() throws {
    let world = Self.world([World.serverAddress])
    _ = try #require(world.run(upTo: .seconds(5)) { world.client.connectedCount == 1 })
    world.run(for: .seconds(2))
    let opened = world.client.counters.channelsOpened
    world.client.setServers([Self.other, World.serverAddress], at: world.now)
    world.run(for: .seconds(5))
    #expect(world.client.counters.channelsOpened == opened)
    world.client.setServers([Self.dead, Self.other], at: world.now)
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(4), bothWays: true)
    world.run(for: .seconds(1))
    exchange.settle()
    #expect(exchange.lost == 0)
    #expect(Self.answered(world) == [World.serverAddress, Self.other])
    #expect(Self.channelAddresses(world) == [Self.other])
  }
}
