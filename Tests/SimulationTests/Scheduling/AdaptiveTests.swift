import Engine
import Testing
import Wire

/// The adaptive schedule on paths that differ: six channels, a flow of 20 Mbit/s where nothing else is
/// said.
@Suite struct AdaptiveTests {
  private static let ports: ClosedRange<UInt16> = 10_001...10_006
  private static let rate = 20_000_000

  private static func load(rate: Int = rate, seed: UInt64 = 1) -> Load {
    let world = World(ports: ports, seed: seed)
    world.connect()
    return Load(world, rate: rate)
  }

  /// Nothing moves, and nothing is out of order.
  @Test func healthy() {
    let load = Self.load(rate: 50_000_000)
    load.run(for: .seconds(20))
    load.finish()
    #expect(load.portCount == 1)
    #expect(load.loss(0, 20) == 0)
    #expect(load.reordered == 0)
    expectHonest(load.world)
  }

  /// The flow's channel is dead: nothing is lost a second later, and nothing ever late.
  @Test func blackholed() {
    let load = Self.load()
    load.run(for: .seconds(3))
    load.world.lanes[load.busiest] = .dead
    load.run(for: .seconds(7))
    load.finish()
    #expect(load.loss(0, 2.9) == 0)
    #expect(load.loss(3, 4) > 0.1)
    #expect(load.loss(4, 10) == 0)
    #expect(load.longestDelay <= .milliseconds(300))
    expectHonest(load.world)
  }

  /// Each channel carries a tenth of the load: together they carry all that they can.
  @Test func policed() {
    let load = Self.load()
    load.run(for: .seconds(2))
    for port in Self.ports {
      load.world.lanes[port] = Lane(policers: [.toServer: Policer(rate: Self.rate / 10)])
    }
    load.run(for: .seconds(20))
    load.finish()
    let arrived = 1 - load.loss(4, 22)
    // Headers are policed too: 48 bytes to 1,400.
    #expect(arrived > 0.6 * 0.9)
    #expect(load.longestDelay <= .milliseconds(300))
    expectHonest(load.world)
  }

  /// One of the channels has a policer that is much tighter: it gets the less.
  @Test func policedUnequally() {
    let load = Self.load()
    for (number, port) in Self.ports.enumerated() {
      let rate = number == 0 ? 500_000 : 3_000_000
      load.world.lanes[port] = Lane(policers: [.toServer: Policer(rate: rate)])
    }
    load.run(for: .seconds(12))
    load.finish()
    #expect(1 - load.loss(4, 12) > 0.9 * 15.5 / 20)
  }

  /// The flow's channel is 40 ms slower than the others: it leaves, and stays away.
  @Test func slowerHome() {
    let load = Self.load()
    load.run(for: .seconds(1))
    let home = load.busiest
    load.world.lanes[home] = Lane(delay: .milliseconds(40))
    load.run(for: .seconds(4))
    load.resetDelay()
    let before = load.carried[home]
    load.run(for: .seconds(5))
    load.finish()
    #expect(load.carried[home] == before)
    #expect(load.portCount == 2)
    #expect(load.longestDelay <= .milliseconds(11))
    #expect(load.loss(0, 10) == 0)
  }

  /// Another one is slower: nothing moves.
  @Test func slowerOther() {
    let load = Self.load()
    load.run(for: .seconds(1))
    for port in Self.ports where port != load.busiest {
      load.world.lanes[port] = Lane(delay: .milliseconds(40))
    }
    load.run(for: .seconds(9))
    load.finish()
    #expect(load.portCount == 1)
    #expect(load.reordered == 0)
  }

  /// Half of the channels lose 5 %, the flow's among them: it ends on one that loses nothing.
  @Test(arguments: UInt64(1)...4) func halfLossy(_ seed: UInt64) {
    let load = Self.load(seed: seed)
    load.run(for: .seconds(1))
    let home = load.busiest
    let others = Self.ports.filter { $0 != home }
    for port in [home, others[1], others[3]] { load.world.lanes[port] = Lane(lossPerMille: 50) }
    load.run(for: .seconds(29))
    load.finish()
    #expect(load.loss(20, 30) == 0)
    #expect(load.loss(1, 30) < 0.02)
  }

  /// All lose 2 %: nothing moves.
  @Test(arguments: UInt64(1)...4) func allLossy(_ seed: UInt64) {
    let load = Self.load(seed: seed)
    load.world.conditions.lossPerMille = 20
    load.run(for: .seconds(30))
    load.finish()
    #expect(load.portCount == 1)
    #expect(load.reordered == 0)
    #expect(load.loss(0, 30) < 0.03)
    #expect(load.world.client.dialCount == 6)
  }

  /// What three channels can carry is spread, and comes back to one when it is little again.
  @Test func spreadsAndGathers() {
    let load = Self.load()
    for port in Self.ports {
      load.world.lanes[port] = Lane(policers: [.toServer: Policer(rate: Self.rate / 3)])
    }
    load.run(for: .seconds(10))
    #expect(load.portCount == 6)
    #expect(load.loss(3, 9) == 0)
    load.finish()
    let light = Load(load.world, rate: 2_000_000, app: 1)
    light.run(for: .seconds(30))
    light.finish()
    #expect(light.loss(0, 30) == 0)
    let last = Load(load.world, rate: 2_000_000, app: 1)
    last.run(for: .seconds(2))
    last.finish()
    #expect(last.portCount == 1)
  }
}
