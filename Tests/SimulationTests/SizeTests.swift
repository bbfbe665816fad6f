import Engine
import Samples
import Testing
import Wire

/// Paths that carry less than their ends' interfaces say.
@Suite(.withoutAndWithKey) struct SizeTests {
  private static func dropping(over limit: Int) -> World.Middlebox {
    { packet, _ in packet.bytes.count > limit ? nil : packet }
  }

  /// The largest datagrams that the client's and the server's channels carry whole.
  private static func largest(_ world: World) -> Set<Int> {
    Set(
      [world.client, world.server].flatMap { host in
        host.channels.keys.compactMap { host.largestDatagram(channel: $0) }
      })
  }

  /// What was told of sizes, in order.
  private static func told(by host: Host) -> [Int] {
    host.events.compactMap {
      if case .largestDatagram(_, _, let byteCount) = $0.event { byteCount } else { nil }
    }
  }

  @Test func aGoodPathTakesOneProbe() {
    let world = World(ports: 10_001...10_004)
    var padded = 0
    world.middlebox = { packet, _ in
      if packet.bytes.count == 1500 { padded += 1 }
      return packet
    }
    world.connect()
    expectHonest(world)
    #expect(Self.largest(world) == [Protection.largestDatagram])
    #expect(padded == 8, "one of the ceiling a channel and direction")
    for host in [world.client, world.server] {
      #expect(Self.told(by: host) == [Protection.largestDatagram])
    }
  }

  /// A datagram that goes twice has its number in front of it.
  @Test func copiesHaveNumbers() {
    let world = World(ports: 10_001...10_004) { $0.schedule = .redundant }
    world.connect()
    for host in [world.client, world.server] {
      #expect(Self.told(by: host) == [Protection.largestDatagram - CopyHeader.byteCount])
    }
  }

  @Test(arguments: [(1400, 1400), (1492, 1492), (1300, 1280), (1000, 576)])
  func silentDrop(_ limit: Int, _ found: Int) {
    let world = World(ports: 10_001...10_003)
    world.middlebox = Self.dropping(over: limit)
    world.connect()
    let exchange = Exchange(world)
    exchange.send(size: 6)
    world.run(for: .seconds(3))
    #expect(Self.largest(world) == [found - 40 - Protection.overhead])
    for size in [1, 1400, 1472, 9000, 65_507] {
      exchange.send(size: size)
      exchange.reply(size: size)
      world.run(for: .milliseconds(100))
    }
    world.run(for: .milliseconds(500))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  /// Probes that do not arrive are no losses of the channel's, however little else it carries.
  @Test func lostProbesAreForgiven() throws {
    let world = World(ports: 10_001...10_003)
    world.middlebox = Self.dropping(over: 1400)
    world.connect()
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(6), every: .milliseconds(50), size: 100, bothWays: true)
    #expect(Self.largest(world) == [1360 - Protection.overhead])
    for host in [world.client, world.server] {
      let channels = try #require(host.session(at: world.now)).channels
      #expect(channels.contains { $0.loss != nil })
      #expect(channels.allSatisfy { ($0.loss ?? 0) == 0 })
      #expect(channels.count { $0.sent.datagrams > 0 } == 1, "the flow has not moved")
    }
  }

  /// From the first datagram on, whatever the path drops: until more is known packets are small.
  @Test func nothingIsLostWhileItSearches() {
    let world = World(ports: 10_001...10_003)
    world.middlebox = Self.dropping(over: 1300)
    let exchange = Exchange(world)
    for _ in 0..<5 { exchange.send(size: 1400) }
    exchange.stream(for: .seconds(3), every: .milliseconds(20), size: 1400, bothWays: true)
    world.run(for: .milliseconds(500))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }

  @Test func shrinkingPath() {
    let world = World(ports: 10_001...10_004)
    world.connect()
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(2), every: .milliseconds(2), size: 1400, bothWays: true)
    world.run(for: .milliseconds(100))
    exchange.settle()
    #expect(exchange.lost == 0)
    world.middlebox = Self.dropping(over: 1400)
    exchange.stream(for: .seconds(1), every: .milliseconds(2), size: 1400, bothWays: true)
    world.run(for: .milliseconds(100))
    exchange.settle()
    let lost = exchange.lost
    #expect(lost > 0)
    exchange.stream(for: .seconds(3), every: .milliseconds(2), size: 1400, bothWays: true)
    world.run(for: .milliseconds(100))
    expectHonest(world, exchange)
    #expect(exchange.lost == lost)
    #expect(Self.largest(world) == [1360 - Protection.overhead])
    #expect(world.client.disconnectedCount == 0)
    // And back again, within the pauses between searches.
    world.middlebox = nil
    exchange.stream(for: .seconds(12), every: .milliseconds(20), size: 1400, bothWays: true)
    #expect(Self.largest(world) == [Protection.largestDatagram])
  }

  /// A router's message is believed where it quotes a segment that is in flight, and only there.
  @Test func routersAreBelievedByWhatTheyQuote() throws {
    let world = World(ports: 10_001...10_001)
    world.connect()
    world.run(for: .seconds(1))
    let exchange = Exchange(world)
    var seen: Packet?
    world.middlebox = { packet, direction in
      guard direction == .toServer, packet.bytes.count == 1500 else { return packet }
      seen = packet
      return nil
    }
    exchange.send(size: Protection.largestDatagram)
    var quoted = try #require(seen)
    let whole = Protection.largestDatagram
    for (limit, shift, isBelieved) in [(1400, 5000, false), (1400, -5000, false), (1337, 0, true)] {
      var message = quoted
      message.set32(quoted.sequence &+ UInt32(bitPattern: Int32(shift)), at: 24)
      world.client.receive([Self.tooBig(message, limit: limit)], at: world.now)
      let largest = isBelieved ? limit - 40 - Protection.overhead : whole
      #expect(Self.largest(world).min() == largest)
    }
    #expect(world.client.counters[.foreignTooBig] == 2)
    // Another connection's.
    quoted.setSourcePort(1)
    world.client.receive([Self.tooBig(quoted, limit: 600)], at: world.now)
    #expect(world.client.counters[.foreignTooBig] == 3)
  }

  /// What a router on the way says of a packet.
  private static func tooBig(_ packet: Packet, limit: Int) -> Packet {
    var bytes = packet.bytes[..<20] + [3, 4, 0, 0, 0, 0, UInt8(limit >> 8), UInt8(limit & 255)]
    bytes += packet.bytes[..<28]
    bytes[2...3] = [0, 56]
    bytes[9] = 1
    bytes[12...19] = packet.bytes[16...19] + packet.bytes[12...15]
    var checksum = Checksum()
    checksum.add(Array(bytes[20...]).rawSpan)
    bytes[22] = UInt8(checksum.value >> 8)
    bytes[23] = UInt8(checksum.value & 255)
    return Packet(bytes: Array(bytes))
  }

  /// What drops packets of any size makes none smaller: policers that leave a tenth of the load each, or
  /// chance.
  @Test(arguments: [true, false]) func lossIsNoMatterOfSize(isPoliced: Bool) {
    let world = World(ports: 10_001...10_006)
    world.connect()
    let load = Load(world, rate: 20_000_000)
    load.run(for: .seconds(1))
    for port in UInt16(10_001)...10_006 {
      world.lanes[port] =
        isPoliced
        ? Lane(policers: [.toServer: Policer(rate: 2_000_000)]) : Lane(lossPerMille: 600)
    }
    load.run(for: .seconds(20))
    load.finish()
    #expect(load.loss(2, 20) > 0.3)
    #expect(Self.told(by: world.client) == [Protection.largestDatagram])
  }

  /// Probes are lost like anything else: no channel stays small for that.
  @Test func lossyPath() {
    let world = World(ports: 10_001...10_004)
    world.conditions.lossPerMille = 50
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(60), every: .milliseconds(10), size: 1400, bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost * 100 < exchange.sent * 12)
    #expect(Self.largest(world).contains(Protection.largestDatagram))
  }
}
