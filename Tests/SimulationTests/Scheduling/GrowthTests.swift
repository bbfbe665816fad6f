import Engine
import Testing
import Wire

/// Six ports, and more channels than ports where each channel is limited.
@Suite(.withoutAndWithKey) struct GrowthTests {
  private static let ports: ClosedRange<UInt16> = 10_001...10_006

  private static func world(
    limit: Int?, maxChannels: Int = 16, configure: (inout EngineConfiguration) -> Void = { _ in }
  ) -> World {
    let world = World(ports: ports, maxChannels: maxChannels, configure: configure)
    world.flowPolicer = limit.map { Policer(rate: $0) }
    world.connect()
    return world
  }

  /// How many channels of a carrier the client was told to have, one time after the other.
  private static func steps(_ world: World) -> [Int] {
    world.client.events.compactMap { _, event in
      if case .moreChannels(let count) = event { count } else { nil }
    }
  }

  /// 18 of 40 Mbit/s pass on six channels, all of it on sixteen.
  @Test(arguments: [Carrier.tcp, .udp]) func limited(carrier: Carrier) {
    let world = Self.world(limit: 3_000_000) { $0.carriers = [carrier] }
    let load = Load(world, rate: 40_000_000)
    load.run(for: .seconds(16))
    load.finish()
    #expect(load.loss(1, 3) > 0.4)
    #expect(load.loss(12, 16) < 0.02)
    #expect(Self.steps(world) == [12, 16])
    #expect(world.client.channels.count == 16)
    expectHonest(world)
  }

  /// Round trips of a satellite's, 600 ms.
  @Test func farAway() {
    let world = Self.world(limit: 3_000_000, maxChannels: 64)
    world.conditions.latency = .milliseconds(300)
    world.run(for: .seconds(5))
    let load = Load(world, rate: 40_000_000)
    load.run(for: .seconds(40))
    load.finish()
    #expect(Self.steps(world) == [12, 24])
    #expect(load.loss(32, 38) < 0.02)
    expectHonest(world)
  }

  /// What the server sends is limited: it says so, and the client opens more.
  @Test func limitedDown() {
    let world = Self.world(limit: 3_000_000)
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(1))
    func reply(for duration: Duration) {
      let end = world.now + duration
      while world.now < end {
        exchange.reply(count: 20, size: Protection.largestDatagram)
        world.run(for: .milliseconds(6))
      }
      world.run(for: .milliseconds(100))
      exchange.settle()
    }
    reply(for: .seconds(11))
    #expect(Self.steps(world) == [12, 16])
    #expect(world.client.channels.count == 16)
    let lost = exchange.lost
    #expect(lost > 1000)
    reply(for: .seconds(4))
    #expect(exchange.lost == lost)
    expectHonest(world)
  }

  /// A port that is blocked, and channels that make room for others, hinder nothing.
  @Test func unsteady() {
    let world = Self.world(limit: 4_000_000) { $0.rotation = Rotation(bytes: 4 << 20) }
    world.lanes[10_006] = .dead
    let load = Load(world, rate: 30_000_000)
    load.run(for: .seconds(14))
    load.finish()
    #expect(Self.steps(world).first == 12)
    #expect(load.loss(9, 14) < 0.02)
    expectHonest(world)
  }

  /// Both carriers grow.
  @Test func both() {
    let world = Self.world(limit: 2_000_000) { $0.carriers = [.tcp, .udp] }
    let load = Load(world, rate: 40_000_000)
    load.run(for: .seconds(12))
    load.finish()
    #expect(load.loss(10, 12) < 0.02)
    #expect(Self.steps(world) == [12])
    #expect(world.client.channels.count == 24)
  }

  /// `--max-channels` is kept, and so few channels are as good as they can be.
  @Test func bounded() {
    let world = Self.world(limit: 3_000_000, maxChannels: 8)
    let load = Load(world, rate: 40_000_000)
    load.run(for: .seconds(12))
    load.finish()
    #expect(Self.steps(world) == [8])
    #expect(1 - load.loss(6, 12) > 0.9 * 24 / 40)
  }

  /// All channels of a port share a limit: more of them do nothing, and no more are opened.
  @Test func useless() {
    let world = Self.world(limit: nil, maxChannels: 64)
    for port in Self.ports {
      world.lanes[port] = Lane(policers: [.toServer: Policer(rate: 3_000_000)])
    }
    let load = Load(world, rate: 40_000_000)
    load.run(for: .seconds(20))
    load.finish()
    #expect(Self.steps(world) == [12])
    #expect(1 - load.loss(6, 20) > 0.9 * 18 / 40)
  }

  /// Where all lose alike, and not for the load, more channels are tried once, though flows begin anew.
  @Test func lossy() {
    let world = Self.world(limit: nil, maxChannels: 64)
    for port in Self.ports { world.lanes[port] = Lane(lossPerMille: 50) }
    let load = Load(world, rate: 20_000_000)
    for _ in 0..<3 {
      load.run(for: .seconds(25))
      world.run(for: .seconds(15))
    }
    load.finish()
    #expect(Self.steps(world) == [12])
  }

  /// Nothing is opened where one channel is enough, or others lose nothing.
  @Test(arguments: [(0, 0), (3, 20), (3, 50), (6, 20)])
  func unlimited(lossyPorts: Int, lossPerMille: Int) {
    let world = Self.world(limit: nil)
    for port in Self.ports.prefix(lossyPorts) {
      world.lanes[port] = Lane(lossPerMille: lossPerMille)
    }
    let load = Load(world, rate: 20_000_000)
    load.run(for: .seconds(20))
    load.finish()
    #expect(Self.steps(world) == [])
    #expect(world.client.channels.count == 6)
  }

  /// Who chose another schedule chose the number of channels.
  @Test(arguments: [Schedule.random, .sticky, .redundant]) func others(schedule: Schedule) {
    let world = Self.world(limit: 3_000_000) { $0.schedule = schedule }
    let load = Load(world, rate: 40_000_000)
    load.run(for: .seconds(8))
    load.finish()
    #expect(Self.steps(world) == [])
  }
}
