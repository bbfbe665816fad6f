import Engine
import Testing
import Wire

/// Six channels with a policer each, and apps that send in clumps: what exceeds the policers' bursts waits
/// until it passes.
@Suite(.withoutAndWithKey) struct PacingTests {
  private static let ports: ClosedRange<UInt16> = 10_001...10_006

  /// A load in clumps, on channels that let 2 Mbit/s and 5 kB at once pass.
  private static func load(
    rate: Int, clump: Int, maxChannels: Int = 16,
    configure: (inout EngineConfiguration) -> Void = { _ in }
  ) -> Load {
    let world = World(ports: ports, maxChannels: maxChannels, configure: configure)
    world.connect()
    for port in ports {
      world.lanes[port] = Lane(policers: [.toServer: Policer(rate: 2_000_000, burst: 5_000)])
    }
    return Load(world, rate: rate, clump: clump)
  }

  /// 9 of 12 Mbit/s in clumps of 70 kB, of which 30 pass at once.
  @Test func clumps() {
    let load = Self.load(rate: 9_000_000, clump: 50)
    load.run(for: .seconds(10))
    load.finish()
    #expect(load.loss(0, 2) > 0.2)
    #expect(load.loss(4, 10) < 0.02)
    #expect(load.longestDelay <= .milliseconds(150))
    #expect(load.repeated == 0)
    #expect(load.portCount == 6)
    #expect(load.world.client.channels.count == 6)
    expectHonest(load.world)
  }

  /// Nothing waits that need not: random schedules are as they were.
  @Test func unpaced() {
    let load = Self.load(rate: 9_000_000, clump: 50) { $0.schedule = .random }
    load.run(for: .seconds(10))
    load.finish()
    #expect(load.loss(4, 10) > 0.2)
    #expect(load.longestDelay <= .milliseconds(11))
  }

  /// Much more than passes: what passes does, and nothing is later than it must.
  @Test func overload() {
    let load = Self.load(rate: 20_000_000, clump: 50, maxChannels: 6)
    load.run(for: .seconds(20))
    load.finish()
    // Headers are policed too: 48 bytes to 1,400.
    #expect(1 - load.loss(6, 20) > 0.6 * 0.95)
    #expect(load.longestDelay <= .milliseconds(150))
    expectHonest(load.world)
  }

  /// A small flow beside one that is paced keeps to its own channel and does not wait.
  @Test func besides() {
    let load = Self.load(rate: 20_000_000, clump: 20, maxChannels: 6)
    load.run(for: .seconds(6))
    let small = Load(load.world, rate: 100_000, size: 100, clump: 1, app: 2)
    (load.other, small.other) = (small, load)
    for _ in 0..<50 {
      load.run(for: .milliseconds(20))
      small.run(for: .milliseconds(20))
    }
    small.finish()
    #expect(small.longestDelay > .zero)
    #expect(small.longestDelay <= .milliseconds(11))
  }
}
