import Engine
import Samples
import Testing
import Wire

/// What is known of a path from the other end's reports.
@Suite(.withoutAndWithKey) struct ReportTests {
  /// What is sent on one channel is lost, but what comes on it arrives: to be heard is not enough.
  @Test(arguments: [World.Direction.toServer, .toClient])
  func pathThatIsDeadOneWay(_ direction: World.Direction) {
    let world = World(ports: 10_001...10_006) { $0.schedule = .random }
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    #expect(exchange.lost <= 4)
    world.lanes[10_003] = Lane(blackholed: [direction])
    exchange.stream(for: .seconds(1), bothWays: true)
    let (sent, delivered) = (exchange.sent, exchange.delivered)
    exchange.stream(for: .seconds(10), bothWays: true)
    // Two are under way at either time.
    #expect(exchange.sent - sent <= exchange.delivered - delivered + 2)
    #expect(world.client.disconnectedCount == 0)
    #expect(world.client.channels.values.count { $0.remote.port == 10_003 } <= 1)
    expectHonest(world, exchange)
  }

  /// One-way traffic needs no more than a report and a probe now and then, and no pure ACKs beside.
  @Test func reportsAreFew() {
    let world = World(ports: 10_001...10_001)
    let exchange = world.connect(streaming: .seconds(1))
    world.resetTraffic()
    exchange.stream(for: .seconds(10))
    // Five reports a second, and two answers.
    #expect(world.traffic[1].segmentsWithPayload <= 75)
    #expect(world.traffic[1].segmentsWithPayload >= 50)
    #expect(world.traffic[1].pureAcknowledgments == 0)
    #expect(world.traffic[0].segmentsWithPayload <= exchange.sent)
    expectHonest(world, exchange)
  }

  /// Lost reports alone doubt nothing.
  @Test func lostReports() {
    let world = World(ports: 10_001...10_002)
    let exchange = world.connect(streaming: .seconds(1))
    var random = SplitMix64(seed: 8)
    world.middlebox = { packet, direction in
      direction == .toClient && UInt.random(in: 0..<4, using: &random) == 0 ? nil : packet
    }
    exchange.stream(for: .seconds(30))
    world.run(for: .milliseconds(100))
    exchange.settle()
    #expect(exchange.lost == 0)
    #expect(world.client.disconnectedCount == 0)
    #expect(world.client.dialCount == 2)
    expectHonest(world, exchange)
  }
}
