import Engine
import Samples
import Testing
import Wire

/// Packets from someone who wants to do harm, straight into the engines.
@Suite(.withoutAndWithKey) struct HostileInputTests {
  /// Every packet of an honest pair, changed in a few places with its checksums right again.
  @Test(arguments: UInt64(1)...4) func mutatedPackets(_ seed: UInt64) {
    let world = World(ports: 10_001...10_002, seed: seed)
    var random = SplitMix64(seed: seed)
    var samples: [Packet] = []
    world.middlebox = { packet, _ in
      if samples.count < 2000 { samples.append(packet) }
      return packet
    }
    world.connect()
    let exchange = Exchange(world, seed: seed)
    exchange.stream(for: .seconds(3), size: nil, bothWays: true)
    world.middlebox = nil
    for _ in 0..<2500 {
      let batch = (0..<50).map { _ in
        Self.mutate(samples[Int.random(in: 0..<samples.count, using: &random)], &random)
      }
      world.server.receive(batch, at: world.now)
      world.client.receive(batch, at: world.now)
      _ = world.server.takeOutgoing()
      _ = world.client.takeOutgoing()
      _ = (world.server.takeArrivals(), world.client.takeArrivals())
      world.run(for: .milliseconds(2))
    }
    #expect(world.server.channels.count <= 128)
    #expect(world.client.channels.count <= 16)
    // The honest go on, over new channels where the trackers no longer follow the old ones: without
    // a key, a mutated segment in the window moves the acknowledgments.
    exchange.forgetFlows()
    exchange.stream(for: .seconds(3), bothWays: true)
    world.run(for: .milliseconds(100))
    exchange.settle()
    let (sent, delivered) = (exchange.sent, exchange.delivered)
    exchange.stream(for: .seconds(5), bothWays: true)
    world.run(for: .milliseconds(100))
    exchange.settle()
    #expect(exchange.sent - sent == exchange.delivered - delivered)
    #expect(exchange.sent - sent >= 500)
  }

  private static func mutate(_ packet: Packet, _ random: inout SplitMix64) -> Packet {
    var changed = packet
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      let place = Int.random(in: 20..<changed.bytes.count, using: &random)
      changed.bytes[place] = UInt8.random(in: 0...255, using: &random)
    }
    if Int.random(in: 0..<10, using: &random) == 0 {
      changed.bytes.removeLast(Int.random(in: 0...changed.bytes.count - 40, using: &random))
    }
    if changed.bytes[32] >> 4 < 5 || Int(changed.bytes[32] >> 4) * 4 + 20 > changed.bytes.count {
      changed.bytes[32] = 0x50
    }
    changed.complete()
    return changed
  }

  @Test func randomBytes() {
    let world = World(ports: 10_001...10_002)
    world.connect()
    var random = SplitMix64(seed: 8)
    for _ in 0..<2000 {
      let batch = (0..<60).map { _ in
        Packet(bytes: random.bytes(Int.random(in: 0...120, using: &random)))
      }
      world.server.receive(batch, at: world.now)
      world.client.receive(batch, at: world.now)
    }
    #expect(world.server.counters[.malformed] + world.server.counters[.badChecksum] > 100_000)
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(1))
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  /// A flood of SYNs from everywhere leaves nothing behind, and established traffic goes on.
  @Test func floodOfSYNs() {
    let world = World(ports: 10_001...10_002)
    world.connect()
    let exchange = Exchange(world)
    var random = SplitMix64(seed: 8)
    var answered = 0
    for _ in 0..<2000 {
      let batch = (0..<60).map { _ in
        Packet.bare(
          from: Endpoint(
            IPAddress(ipv4: UInt32.random(in: 0 ... .max, using: &random)), 4000),
          to: Endpoint(World.serverAddress, 10_001),
          sequence: UInt32.random(in: 0 ... .max, using: &random), acknowledgment: 0, flags: .syn)
      }
      world.server.receive(batch, at: world.now)
      answered += world.server.takeOutgoing().count
      exchange.stream(for: .milliseconds(1))
    }
    world.run(for: .seconds(1))
    #expect(answered > 100_000)
    #expect(world.server.channels.count == 2)
    #expect(exchange.settledLoss == 0)
  }

  /// A client that opens flows without end: bounded, and the flows before keep working.
  @Test func floodOfFlows() {
    let world = World(ports: 10_001...10_001)
    world.connect()
    let exchange = Exchange(world)
    exchange.send(app: 1, size: 100)
    world.run(for: .milliseconds(100))
    for port in UInt16(1)...5000 {
      world.client.send([[3]], from: Endpoint(.any, port), at: world.now)
      if port % 50 == 0 { world.run(for: .milliseconds(1)) }
    }
    world.run(for: .seconds(1))
    #expect(world.client.counters[.flowLimit] == 5001 - 1024)
    _ = world.server.takeArrivals()
    exchange.send(app: 1, size: 100)
    world.run(for: .seconds(1))
    #expect(world.server.takeArrivals().count == 1)
    expectHonest(world)
  }
}

extension Exchange {
  fileprivate var settledLoss: Int {
    settle()
    return lost
  }
}
