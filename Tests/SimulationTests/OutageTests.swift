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
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
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

  /// The client gets another address, and the one before is gone: both ways go on as soon as something is
  /// open from the new one, which takes two round trips of 20 ms.
  @Test(arguments: [[.tcp], [.udp], [.icmp], [.tcp, .udp]] as [[Carrier]])
  func theClientMoves(_ carriers: [Carrier]) {
    let world = World(configure: World.carriers(carriers))
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    let channels = world.client.channels.count
    world.client.move(to: IPAddress(ipv4: 0x0A00_0901), at: world.now)
    exchange.stream(for: .seconds(5), bothWays: true)
    for direction in [World.Direction.toServer, .toClient] {
      #expect(exchange.longestGaps[direction] ?? .seconds(99) < .milliseconds(150), "\(direction)")
    }
    // Nothing is dialled twice.
    #expect(world.client.dialCount == 2 * channels)
    #expect(world.client.channels.values.allSatisfy { $0.local.address == world.client.address })
    #expect(world.client.channels.count == channels)
    expectHonest(world, exchange)
  }

  /// It moves again before anything is open from the first new address.
  @Test(arguments: [[.tcp], [.udp], [.icmp], [.tcp, .udp]] as [[Carrier]])
  func theClientMovesTwice(_ carriers: [Carrier]) {
    let world = World(configure: World.carriers(carriers))
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    let channels = world.client.channels.count
    world.client.move(to: IPAddress(ipv4: 0x0A00_0901), at: world.now)
    exchange.stream(for: .milliseconds(30), bothWays: true)
    world.client.move(to: IPAddress(ipv4: 0x0A00_0A01), at: world.now)
    exchange.stream(for: .seconds(5), bothWays: true)
    for direction in [World.Direction.toServer, .toClient] {
      #expect(exchange.longestGaps[direction] ?? .seconds(99) < .milliseconds(180), "\(direction)")
    }
    #expect(world.client.channels.values.allSatisfy { $0.local.address == world.client.address })
    #expect(world.client.channels.count == channels)
    expectHonest(world, exchange)
  }

  /// Of all that was open nothing passes any more, and nobody says so.
  @Test(arguments: [[.tcp], [.udp], [.icmp], [.tcp, .udp]] as [[Carrier]])
  func allChannelsAreGone(_ carriers: [Carrier]) {
    let world = World(configure: World.carriers(carriers))
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    let known = Set(world.client.channels.values.map(\.local))
    world.middlebox = { packet, direction in
      known.contains(direction == .toServer ? packet.source : packet.destination) ? nil : packet
    }
    exchange.stream(for: .seconds(8), bothWays: true)
    // The client has to find out; the server hears of it then, and tries none of its own.
    let up = exchange.longestGaps[.toServer] ?? .seconds(99)
    let down = exchange.longestGaps[.toClient] ?? .seconds(99)
    #expect(up > .milliseconds(500) && up < .seconds(2.5))
    #expect(down < up + .milliseconds(50))
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
