import Engine
import Testing
import Wire

/// Small datagrams that wait together share segments.
@Suite(.withoutAndWithKey) struct BundleTests {
  @Test(arguments: [false, true]) func smallOnesShare(carriesRuns: Bool) {
    let world = World(ports: 10_001...10_001)
    for host in world.clients + [world.server] {
      host.setPath(Path(mtu: 1500, carriesRuns: carriesRuns), at: world.now)
    }
    world.connect()
    let exchange = Exchange(world)
    exchange.send(size: 6)
    world.run(for: .milliseconds(300))
    world.resetTraffic()
    exchange.send(count: 60, size: 64)
    exchange.reply(count: 60, size: 64)
    let perSegment = 1460 / (64 + Protection.overhead)
    let segments = (60 + perSegment - 1) / perSegment
    for traffic in world.traffic { #expect(traffic.segmentsWithPayload == segments) }
    world.run(for: .milliseconds(100))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  /// One that is alone leaves at once.
  @Test func nothingWaits() {
    let world = World(ports: 10_001...10_001)
    world.connect()
    let exchange = Exchange(world)
    for number in 1...5 {
      world.resetTraffic()
      exchange.send(size: 64)
      #expect(world.traffic[0].segmentsWithPayload == 1, "\(number)")
    }
    world.run(for: .milliseconds(100))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  /// Sizes of all kinds in one batch: all arrive, in fewer segments than there are datagrams, none
  /// larger than the MTU.
  @Test func mixedSizes() {
    let world = World(ports: 10_001...10_001)
    world.connect()
    let exchange = Exchange(world)
    exchange.send(size: 6)
    world.run(for: .milliseconds(300))
    world.resetTraffic()
    let sent = exchange.sent
    for _ in 0..<50 {
      exchange.send(count: 40)
      exchange.reply(count: 40)
      world.run(for: .milliseconds(50))
    }
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    let segments = world.traffic.reduce(0) { $0 + $1.segmentsWithPayload }
    #expect(segments < (exchange.sent - sent) * 9 / 10)
  }
}
