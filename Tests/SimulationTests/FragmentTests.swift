import Engine
import Samples
import Testing
import Wire

/// Datagrams that are larger than a segment.
@Suite(.withoutAndWithKey) struct FragmentTests {
  private static let sizes = [
    1, 1400, 1431, 1432, 1433, 1451, 1452, 1453, 1472, 2880, 9000, 65_506, 65_507,
  ]

  @Test(arguments: [1500, 1280, 9000, 65_535], [false, true])
  func everySizeBothWays(mtu: Int, carriesRuns: Bool) {
    let world = World(ports: 10_001...10_003)
    for host in world.clients + [world.server] {
      host.setPath(Path(mtu: mtu, carriesRuns: carriesRuns), at: world.now)
    }
    world.connect()
    let exchange = Exchange(world)
    exchange.send(size: 6)
    world.run(for: .milliseconds(100))
    for size in Self.sizes {
      exchange.send(size: size)
      exchange.reply(size: size)
      world.run(for: .milliseconds(50))
    }
    world.run(for: .milliseconds(500))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  /// Random sizes while pieces overtake each other, come twice and are lost: loss of a piece loses its
  /// datagram only, and after two seconds nothing is left of it.
  @Test(arguments: [(0, 0, 40), (20, 20, 20), (50, 100, 0)])
  func badPaths(_ loss: Int, _ duplication: Int, _ jitter: Int) {
    let world = World(ports: 10_001...10_004, seed: UInt64(loss + jitter))
    world.connect()
    world.conditions.lossPerMille = loss
    world.conditions.duplicationPerMille = duplication
    world.conditions.jitter = .milliseconds(jitter)
    let exchange = Exchange(world)
    exchange.send(size: 6)
    world.run(for: .milliseconds(200))
    var random = SplitMix64(seed: 6)
    for _ in 0..<300 {
      exchange.send(size: Int.random(in: 6...12_000, using: &random))
      exchange.reply(size: Int.random(in: 6...12_000, using: &random))
      world.run(for: .milliseconds(10))
    }
    world.conditions.lossPerMille = 0
    world.run(for: .seconds(1))
    exchange.settle()
    // A datagram has 9 pieces at most.
    #expect(exchange.lost * 1000 <= exchange.sent * loss * 9)
    #expect(loss == 0 ? exchange.lost == 0 : exchange.lost > 0)
    world.run(for: .seconds(2))
    expectHonest(world, exchange)
    let incomplete =
      world.client.counters[.incompleteDatagram] + world.server.counters[.incompleteDatagram]
    #expect(incomplete <= UInt64(exchange.lost))
    #expect(loss == 0 || incomplete > 0)
  }

  /// What comes before the first channel is up is cut as well.
  @Test func heldDatagrams() {
    let world = World()
    let exchange = Exchange(world)
    for size in [100, 5000, 1400, 9000] { exchange.send(size: size) }
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.delivered == 4)
    #expect(exchange.order == [1, 2, 3, 4])
  }

  /// The pieces of one datagram are one run: one send, of segments of one size.
  @Test func piecesAreARun() {
    let world = World(ports: 10_001...10_001)
    world.connect()
    let exchange = Exchange(world)
    exchange.send(size: 14_000)
    world.run(for: .milliseconds(100))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    #expect(world.client.largestRun == 10)
  }

  /// A peer, without a key anyone, makes up fragments: each costs a counter.
  @Test func hostileFragments() {
    Protection.withoutKey {
      let world = World(ports: 10_001...10_001)
      world.connect()
      let exchange = Exchange(world)
      exchange.send(size: 6)
      world.run(for: .milliseconds(100))
      var random = SplitMix64(seed: 8)
      world.middlebox = { packet, direction in
        guard direction == .toServer, packet.firstByte == FrameType.datagram.rawValue else {
          return packet
        }
        var changed = packet
        let start = packet.headerLength
        changed.bytes[start] = FrameType.fragment.rawValue
        let header = random.bytes(8)
        for (offset, byte) in header.enumerated() { changed.bytes[start + 8 + offset] = byte }
        changed.complete()
        return changed
      }
      for _ in 0..<2000 {
        world.client.send([random.bytes(100)], from: Exchange.endpoint(1), at: world.now)
        world.run(for: .milliseconds(1))
      }
      world.middlebox = nil
      exchange.send(size: 9000)
      world.run(for: .milliseconds(100))
      expectHonest(world, exchange)
      #expect(exchange.delivered == 2)
      #expect(world.server.counters[.badFragment] == 2000)
    }
  }
}
