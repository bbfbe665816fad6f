// Outages after which the old connections are gone for good: a NAT was restarted, an address changed.

import Engine
import Samples
import Testing
import Wire

@Suite(.withoutAndWithKey) struct OutageTests {
  /// The client's port of a packet.
  private static func clientPort(_ packet: Packet, _ direction: World.Direction) -> UInt16 {
    let place = direction == .toServer ? 20 : 22
    return UInt16(packet.bytes[place]) << 8 | UInt16(packet.bytes[place + 1])
  }

  @Test(arguments: [10_001...10_010, 10_001...10_001] as [ClosedRange<UInt16>])
  func connectionsAreGoneForGood(_ ports: ClosedRange<UInt16>) {
    let world = World(ports: ports)
    var known: Set<UInt16> = []
    var isOver = false
    world.middlebox = { packet, direction in
      let port = Self.clientPort(packet, direction)
      if !isOver { known.insert(port) }
      return isOver && known.contains(port) ? nil : packet
    }
    world.connect()
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(2), bothWays: true)
    isOver = true
    exchange.stream(for: .seconds(5))
    #expect(world.client.disconnectedCount == 1)
    exchange.settle()
    let (sent, arrived) = (exchange.sent, exchange.delivered)
    exchange.stream(for: .seconds(3))
    world.run(for: .milliseconds(100))
    exchange.settle()
    #expect(exchange.sent - sent <= exchange.delivered - arrived)
    #expect(world.client.connectedCount == 2)
    expectHonest(world, exchange)
  }

  /// At one datagram a second most channels carry nothing. An outage drops none of them, so the first
  /// datagram after it arrives on a connection that was there before.
  @Test func slowAppKeepsItsChannels() {
    let world = World()
    world.connect()
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(5), every: .seconds(1))
    let before = Set(world.client.channels.values)
    world.conditions.isDown = true
    exchange.stream(for: .seconds(30), every: .seconds(1))
    #expect(before.isSubset(of: world.client.channels.values))
    world.conditions.isDown = false
    exchange.stream(for: .seconds(5), every: .seconds(1))
    #expect(exchange.delivered >= 5 + 4)
    expectHonest(world, exchange)
  }

  /// A client that comes from a new address again and again is never locked out.
  @Test func manyMoves() {
    let world = World(ports: 10_001...10_016) { $0.limits.channelsPerSession = 64 }
    var barrier: UInt16 = 0
    var highest: UInt16 = 0
    world.middlebox = { packet, direction in
      let port = Self.clientPort(packet, direction)
      highest = max(highest, port)
      return port <= barrier ? nil : packet
    }
    world.connect()
    let exchange = Exchange(world)
    for _ in 0..<12 {
      exchange.stream(for: .seconds(1), bothWays: true)
      barrier = highest
      exchange.stream(for: .seconds(6))
      exchange.settle()
      let arrived = exchange.delivered
      exchange.stream(for: .seconds(1))
      #expect(exchange.delivered > arrived + 10)
    }
    #expect(world.server.channels.count <= 64)
    expectHonest(world, exchange)
  }
}
