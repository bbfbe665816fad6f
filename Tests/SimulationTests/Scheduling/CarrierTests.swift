import Engine
import Testing
import Wire

/// Fake TCP and UDP at once, six ports each: a bad carrier does not drag the good one down.
@Suite struct CarrierTests {
  private static let both = [Carrier.tcp, .udp]
  private static let ports: ClosedRange<UInt16> = 10_001...10_006

  /// A flow that has its home on `carrier` a second after its start.
  private static func load(homeOn carrier: Carrier, rate: Int = 20_000_000) throws -> Load {
    for seed in UInt64(1)...20 {
      let world = World(ports: ports, seed: seed, configure: World.carriers(both))
      world.connect()
      let load = Load(world, rate: rate)
      load.run(for: .seconds(1))
      if (load.carriedByUDP > 0) == (carrier == .udp) { return load }
    }
    throw NoSuchHome()
  }

  private struct NoSuchHome: Error {}

  /// Does the same to all channels of a carrier.
  private static func set(_ lane: Lane, _ carrier: Carrier, of world: World) {
    for port in ports {
      if carrier == .udp { world.udpLanes[port] = lane } else { world.lanes[port] = lane }
    }
  }

  @Test(arguments: both) func healthy(_ carrier: Carrier) throws {
    let load = try Self.load(homeOn: carrier, rate: 50_000_000)
    load.run(for: .seconds(19))
    load.finish()
    #expect(load.loss(0, 20) == 0)
    #expect(load.reordered == 0)
    #expect(load.portCount == 1)
  }

  /// The flow leaves at once for the other carrier, and does not try all channels of its own.
  @Test(arguments: both) func blackholed(_ carrier: Carrier) throws {
    let load = try Self.load(homeOn: carrier)
    Self.set(.dead, carrier, of: load.world)
    load.run(for: .seconds(9))
    load.finish()
    #expect(load.loss(1, 1.4) > 0.5)
    #expect(load.loss(2, 10) == 0)
    #expect(load.longestDelay <= .milliseconds(300))
  }

  @Test(arguments: both) func lossy(_ carrier: Carrier) throws {
    let load = try Self.load(homeOn: carrier)
    Self.set(Lane(lossPerMille: 100), carrier, of: load.world)
    load.run(for: .seconds(14))
    load.finish()
    #expect(load.loss(1, 1.4) > 0.05)
    #expect(load.loss(5, 15) == 0)
  }

  /// Each channel of one carrier carries a tenth of the load, those of the other all of it.
  @Test(arguments: both) func policed(_ carrier: Carrier) throws {
    let load = try Self.load(homeOn: carrier)
    Self.set(Lane(policers: [.toServer: Policer(rate: 2_000_000)]), carrier, of: load.world)
    load.run(for: .seconds(14))
    load.finish()
    #expect(load.loss(1, 1.4) > 0.5)
    #expect(load.loss(5, 15) == 0)
  }

  /// Both are policed: the better one's sum arrives, and more.
  @Test(arguments: both) func bothPoliced(_ carrier: Carrier) throws {
    let load = try Self.load(homeOn: carrier, rate: 40_000_000)
    Self.set(Lane(policers: [.toServer: Policer(rate: 500_000)]), .udp, of: load.world)
    Self.set(Lane(policers: [.toServer: Policer(rate: 3_000_000)]), .tcp, of: load.world)
    load.run(for: .seconds(14))
    load.finish()
    // TCP alone carries 18 of 40 Mbit/s, less the headers.
    #expect(1 - load.loss(5, 15) > 18.0 / 40 * 0.96)
  }
}
