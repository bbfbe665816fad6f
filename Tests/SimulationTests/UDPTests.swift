import Engine
import Samples
import Testing
import Wire

/// Channels on UDP, alone and beside fake TCP.
@Suite(.withoutAndWithKey) struct UDPTests {
  static let carriers: [[Carrier]] = [[.udp], [.tcp, .udp]]

  @Test(arguments: carriers) func oneChannelOfEachCarrierToEachPort(_ carriers: [Carrier]) {
    let world = World(configure: World.carriers(carriers))
    world.connect()
    for carrier in carriers {
      let channels = world.client.channels.filter {
        world.client.carrier(channel: $0.key) == carrier
      }
      #expect(Set(channels.values.map(\.remote.port)) == Set(10_001...10_010))
    }
    #expect(world.client.channels.count == 10 * carriers.count)
    #expect(world.server.channels.count == 10 * carriers.count)
    #expect(world.client.connectedCount == 1)
    expectHonest(world)
  }

  @Test(arguments: carriers, [false, true])
  func thousandsOfDatagramsBothWays(_ carriers: [Carrier], _ keepsRuns: Bool) {
    let world = World(ports: 10_001...10_003, configure: World.carriers(carriers))
    world.keepsRuns = keepsRuns
    expectThousandsBothWays(world)
    #expect(world.server.largestRun > 1)
  }

  /// One carrier is blocked: the other one opens at once, and nothing is lost.
  @Test(arguments: [true, false]) func blockedCarrier(_ isUDP: Bool) {
    let world = World(configure: World.carriers([.tcp, .udp]))
    world.middlebox = { packet, _ in packet.isUDP == isUDP ? nil : packet }
    let exchange = Exchange(world)
    exchange.send(count: 20, size: 100)
    world.run(for: .milliseconds(200))
    exchange.settle()
    #expect(exchange.delivered == 20)
    exchange.stream(for: .seconds(60), bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    #expect(world.client.disconnectedCount == 0)
    // What is blocked is asked for ever more seldom: 10 ports, a minute, four packets a dial.
    #expect(world.client.dialCount < 10 + 10 * 6)
  }

  /// A carrier is blocked while datagrams flow: what was on it is lost, and no more.
  @Test(arguments: [true, false]) func carrierThatEnds(_ isUDP: Bool) {
    let world = World(configure: World.carriers([.tcp, .udp]))
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    world.middlebox = { packet, _ in packet.isUDP == isUDP ? nil : packet }
    exchange.stream(for: .seconds(3), bothWays: true)
    world.run(for: .seconds(1))
    exchange.settle()
    let lost = exchange.lost
    exchange.stream(for: .seconds(10), bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == lost)
    #expect(world.client.disconnectedCount == 0)
  }

  /// A NAT gives the client's channels other ports: they go on, without a new handshake.
  @Test func rebinding() {
    let world = World(ports: 10_001...10_003) {
      $0.carriers = [.udp]
      $0.schedule = .random
    }
    let exchange = world.connect(streaming: .seconds(1), bothWays: true)
    let opened = world.client.counters.channelsOpened
    world.middlebox = Middlebox.rebinding(by: 12_000)
    world.hasTrackers = false
    exchange.stream(for: .seconds(1), bothWays: true)
    world.run(for: .seconds(1))
    exchange.settle()
    let lost = exchange.lost
    exchange.stream(for: .seconds(5), bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == lost)
    #expect(lost < 60)
    #expect(world.server.counters.channelsMoved == 3)
    #expect(world.client.counters.channelsOpened == opened)
    #expect(world.client.disconnectedCount == 0)
  }

  /// Who is faster with a copy of a client's segments, and gives a victim's address as his own, draws no
  /// more to there than a probe now and then, no longer than a copy.
  @Test func segmentsRepeatedFromElsewhere() {
    let world = World(ports: 10_001...10_001, configure: World.carriers([.udp]))
    world.connect()
    let exchange = Exchange(world)
    let victim = Endpoint(IPAddress(ipv4: 0x0A00_6363), 5353)
    world.hasTrackers = false
    var (toVictim, fromVictim) = (0, 0)
    world.middlebox = { [unowned world] packet, direction in
      if packet.destination == victim { toVictim += packet.payloadLength }
      guard direction == .toServer, packet.source != victim else { return packet }
      let copy = Packet.datagram(
        from: victim, to: packet.destination, Array(packet.bytes[packet.headerLength...]))
      fromVictim += copy.payloadLength
      // Before the original, so that it is news.
      world.server.receive([copy], at: world.now)
      return packet
    }
    exchange.stream(for: .seconds(3), bothWays: true)
    world.middlebox = nil
    exchange.stream(for: .seconds(1), bothWays: true)
    world.run(for: .seconds(1))
    exchange.settle()
    #expect(fromVictim > 10_000)
    #expect(toVictim > 0 && toVictim < fromVictim / 5)
    #expect(world.server.counters.channelsMoved == 0)
    #expect(world.server.channels.values.first?.remote.address == world.client.address)
  }

  /// Whatever stranger asks, the answers together are no longer than the questions.
  @Test func noAmplification() {
    let world = World(ports: 10_001...10_001, configure: World.carriers([.udp]))
    var sample: [[UInt8]] = []
    world.middlebox = { packet, direction in
      if direction == .toServer { sample.append(Array(packet.bytes[packet.headerLength...])) }
      return packet
    }
    world.connect()
    Exchange(world).send(count: 20)
    world.run(for: .seconds(1))
    world.middlebox = nil
    world.hasTrackers = false
    var random = SplitMix64(seed: 7)
    var worst = 0
    for _ in 0..<20_000 {
      var payload = sample.randomElement(using: &random)!
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        payload[Int.random(in: 0..<payload.count, using: &random)] = .random(
          in: 0...255, using: &random)
      }
      payload.removeLast(Int.random(in: 0..<payload.count, using: &random))
      let stranger = Endpoint(
        IPAddress(ipv4: 0x0B00_0000 | .random(in: 0...0xFFFF, using: &random)), 99)
      world.server.receive(
        [.datagram(from: stranger, to: Endpoint(World.serverAddress, 10_001), payload)],
        at: world.now)
      let answered = world.server.takeOutgoing().filter { $0.packet.destination == stranger }
      worst = max(worst, answered.reduce(0) { $0 + $1.packet.payloadLength } - payload.count)
    }
    #expect(worst <= 0)
  }

  /// With a key, who has none hears nothing at all.
  @Test func strangersHearNothing() {
    guard Protection.key != nil else { return }
    let world = World(ports: 10_001...10_001, configure: World.carriers([.udp]))
    world.hasTrackers = false
    world.connect()
    _ = world.server.takeOutgoing()
    let port = Endpoint(World.serverAddress, 10_001)
    let stranger = Endpoint(IPAddress(ipv4: 0x0B00_0001), 99)
    let hello = Hello(
      observed: TCPOptions(maximumSegmentSize: nil, windowScale: nil), segmentSize: 1400,
      channel: 5,
      session: SessionID(high: 1, low: 2))
    let questions = [
      ChannelMessage.bytes(.knock, channel: 5, content: [UInt8](repeating: 7, count: 100)),
      ChannelMessage.bytes(
        .opening, channel: 5, content: [UInt8](repeating: 0, count: 8) + hello.bytes),
      [0, 0, 0, 5, 0x17, 3, 3, 0, 23] + [UInt8](repeating: 1, count: 23),
      [0, 0, 0, 5, 1, 0, 4, 0, 0, 0, 0, 0, 9, 9, 9, 9],
    ]
    for question in questions {
      world.server.receive([.datagram(from: stranger, to: port, question)], at: world.now)
    }
    #expect(world.server.takeOutgoing().isEmpty)
    #expect(world.server.counters[.unknownKey] == 2)
  }

  /// A first message that comes again, at once or later, from its own place or another one, opens
  /// nothing.
  @Test func repeatedOpenings() {
    let world = World(ports: 10_001...10_001, configure: World.carriers([.udp]))
    var openings: [Packet] = []
    world.middlebox = { packet, direction in
      if direction == .toServer, packet.firstByte == 0x16 { openings.append(packet) }
      return packet
    }
    world.connect()
    #expect(openings.count == 2)
    world.hasTrackers = false
    for _ in 0..<3 {
      for opening in openings {
        world.server.receive([opening], at: world.now)
        var moved = opening
        moved.setSourcePort(9999)
        world.server.receive([moved], at: world.now)
      }
      world.run(for: .seconds(100))
    }
    #expect(world.server.channels.count == 1)
    #expect(world.server.counters.channelsOpened == 1)
  }

  /// ICMP, which anyone can forge, makes the client ask and dial, and nothing be lost.
  @Test func refusalsAreHints() {
    let world = World(ports: 10_001...10_003, configure: World.carriers([.udp]))
    world.connect()
    let exchange = Exchange(world)
    for _ in 0..<20 {
      for channel in Array(world.client.channels.keys) {
        world.client.refuse(channel: channel, at: world.now)
      }
      exchange.stream(for: .milliseconds(200), bothWays: true)
    }
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    #expect(world.client.disconnectedCount == 0)
    #expect(world.client.counters[.foreignReset] > 0)
  }

  /// A client whose clock is wrong gets in: its hints are unknown at first.
  @Test func wrongClock() {
    guard Protection.key != nil else { return }
    let world = World(ports: 10_001...10_001, configure: World.carriers([.udp]))
    world.client.setClock(Host.clock - 86_400_000, at: world.now)
    let exchange = Exchange(world)
    world.run(for: .seconds(10))
    exchange.send(size: 100)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.delivered == 1)
  }
}
