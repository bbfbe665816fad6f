import Engine
import Testing
import Wire

/// The other schedules.
@Suite(.withoutAndWithKey) struct ScheduleTests {
  private static let ports: ClosedRange<UInt16> = 10_001...10_006

  private static func world(_ schedule: Schedule) -> World {
    let world = World(ports: ports) { $0.schedule = schedule }
    world.connect()
    return world
  }

  /// What the client chose holds for both directions.
  @Test(arguments: [(Schedule.adaptive, 1...1), (.random, 6...6), (.sticky, 1...1)])
  func bothDirections(_ schedule: Schedule, _ expected: ClosedRange<Int>) {
    let world = Self.world(schedule)
    let exchange = Exchange(world)
    exchange.send(size: 100)
    world.run(for: .milliseconds(50))
    exchange.settle()
    var ports: [World.Direction: Set<UInt16>] = [:]
    world.middlebox = { packet, direction in
      if packet.payloadLength >= 500 {
        let port = direction == .toServer ? packet.destination.port : packet.source.port
        ports[direction, default: []].insert(port)
      }
      return packet
    }
    exchange.stream(for: .seconds(2), size: 500, bothWays: true)
    world.run(for: .milliseconds(50))
    #expect(expected.contains(ports[.toServer]?.count ?? 0))
    #expect(expected.contains(ports[.toClient]?.count ?? 0))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  /// A sticky flow stays where it is whatever it loses.
  @Test func stickyStays() {
    let world = Self.world(.sticky)
    let load = Load(world, rate: 5_000_000)
    load.run(for: .seconds(1))
    world.lanes[load.busiest] = Lane(lossPerMille: 300)
    load.run(for: .seconds(5))
    load.finish()
    #expect(load.portCount == 1)
    #expect(load.loss(1, 6) > 0.2)
  }

  /// Flows have different homes, and each keeps its order.
  @Test func flowsAreDistributed() {
    let world = Self.world(.adaptive)
    var ports: Set<UInt16> = []
    world.middlebox = { packet, direction in
      if direction == .toServer, packet.payloadLength >= 500 {
        ports.insert(packet.destination.port)
      }
      return packet
    }
    let exchange = Exchange(world)
    for app in UInt8(1)...60 { exchange.send(app: app, size: 500) }
    world.run(for: .milliseconds(100))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    #expect(ports.count == 6)
  }

  /// Datagrams of several apps wait in one batch: those that have the same home share segments, and no
  /// other ones do. Without a schedule all may.
  @Test(arguments: [Schedule.adaptive, .sticky, .redundant, .random])
  func bundlesKeepHomes(_ schedule: Schedule) {
    let world = Self.world(schedule)
    var ports: [UInt8: Set<UInt16>] = [:]
    var segments = 0
    world.middlebox = { packet, direction in
      if direction == .toServer, packet.payloadLength >= 100 { segments += 1 }
      return packet
    }
    let exchange = Exchange(world)
    for app in UInt8(1)...8 {
      let before = world.client.session(at: world.now)?.channels ?? []
      exchange.send(app: app, size: 100)
      let after = world.client.session(at: world.now)?.channels ?? []
      for (old, new) in zip(before, after) where new.sent.datagrams > old.sent.datagrams {
        ports[app, default: []].insert(new.tuple.remote.port)
      }
      world.run(for: .milliseconds(10))
    }
    segments = 0
    let before = world.client.session(at: world.now)?.channels ?? []
    exchange.sendTogether(apps: 1...8, size: 100)
    let after = world.client.session(at: world.now)?.channels ?? []
    world.run(for: .milliseconds(100))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    if schedule == .random {
      #expect(segments == 1)
      return
    }
    // Each channel has as many more as flows have their home, or second home, there.
    for (old, new) in zip(before, after) {
      let flows = ports.values.count { $0.contains(new.tuple.remote.port) }
      #expect(new.sent.datagrams - old.sent.datagrams == UInt64(flows))
    }
    #expect(segments >= Set(ports.values.joined()).count)
  }
}

/// Each datagram twice.
@Suite(.withoutAndWithKey) struct RedundantTests {
  private static func world(ports: ClosedRange<UInt16> = 10_001...10_006) -> World {
    let world = World(ports: ports) { $0.schedule = .redundant }
    world.connect()
    return world
  }

  /// A channel dies: nothing is lost, nothing comes twice.
  @Test func blackholed() {
    let world = Self.world()
    let load = Load(world, rate: 20_000_000)
    load.run(for: .seconds(2))
    #expect(load.portCount == 2)
    world.lanes[load.busiest] = .dead
    load.run(for: .seconds(5))
    load.finish()
    #expect(load.loss(0, 7) == 0)
    #expect(load.repeated == 0)
    #expect(load.longestDelay <= .milliseconds(300))
    expectHonest(world)
  }

  @Test func bothDirections() {
    let world = Self.world()
    world.conditions.lossPerMille = 50
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(20), size: 1000, bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    // Lost is what is lost twice: 0.25 %.
    #expect(exchange.lost * 100 < exchange.sent)
    #expect(world.server.counters[.secondCopy] > 1000)
    #expect(world.client.counters[.secondCopy] > 1000)
  }

  /// What is cut goes twice as well, all pieces of it, and pieces make up for each other: of datagrams of
  /// 12 pieces, a piece is lost both times in one of 33 where each is lost in one of 20.
  @Test func fragments() {
    let world = Self.world()
    world.conditions.lossPerMille = 50
    let exchange = Exchange(world)
    exchange.send(size: 6)
    world.run(for: .milliseconds(100))
    for _ in 0..<500 {
      exchange.send(size: 16_000)
      exchange.reply(size: 16_000)
      exchange.send(count: 2, size: 1400)
      world.run(for: .milliseconds(10))
    }
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost * 100 < exchange.sent * 5)
    for host in [world.server, world.client] {
      #expect(host.counters[.secondCopy] > 500 * 4)
      #expect(host.counters[.badFragment] == 0)
    }
  }

  /// Channels whose segments are of different sizes, and datagrams that fit one and not the other.
  @Test func carriersOfDifferentSizes() {
    let world = World(ports: 10_001...10_003) {
      $0.schedule = .redundant
      $0.carriers = [.tcp, .udp]
    }
    world.connect()
    let exchange = Exchange(world)
    exchange.send(size: 6)
    world.run(for: .milliseconds(100))
    world.conditions.lossPerMille = 30
    for size in 1410...1470 {
      exchange.send(count: 3, size: size)
      exchange.reply(count: 3, size: size)
      world.run(for: .milliseconds(10))
    }
    for _ in 0..<100 {
      exchange.send(size: 9000)
      world.run(for: .milliseconds(10))
    }
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost * 100 < exchange.sent * 3)
    #expect(world.server.counters[.badFragment] == 0)
  }

  /// All on UDP is dead, and a flow goes on both carriers: nothing is lost.
  @Test func oneCarrierIsDead() {
    let world = World(ports: 10_001...10_006) {
      $0.schedule = .redundant
      $0.carriers = [.tcp, .udp]
    }
    world.connect()
    let load = Load(world, rate: 10_000_000)
    load.run(for: .seconds(2))
    for port in UInt16(10_001)...10_006 { world.udpLanes[port] = .dead }
    load.run(for: .seconds(5))
    load.finish()
    #expect(load.loss(0, 7) == 0)
    #expect(load.repeated == 0)
  }

  /// A server that has started anew counts anew: the client does not take that for old copies.
  @Test func serverRestarts() {
    let world = Self.world(ports: 10_001...10_010)
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(5), bothWays: true)
    world.restartServer(secret: 7) { $0.schedule = .redundant }
    exchange.forgetFlows()
    exchange.stream(for: .seconds(5), bothWays: true)
    let lost = exchange.lost
    exchange.stream(for: .seconds(5), bothWays: true)
    exchange.stream(for: .seconds(5), size: 3000, bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(lost < 400)
    #expect(exchange.lost == lost)
  }

  /// One channel has no other one to send on.
  @Test func oneChannel() {
    let world = Self.world(ports: 10_001...10_001)
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(2), bothWays: true)
    world.run(for: .milliseconds(100))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    #expect(world.server.counters[.secondCopy] == 0)
  }
}
