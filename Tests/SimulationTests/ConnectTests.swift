import Engine
import Samples
import Testing
import Wire

/// How channels come up.
@Suite(.withoutAndWithKey) struct ConnectTests {
  @Test func oneChannelToEachPort() {
    let world = World()
    world.connect()
    #expect(world.client.channels.count == 10)
    #expect(Set(world.client.channels.values.map(\.remote.port)) == Set(10_001...10_010))
    #expect(world.server.channels.count == 10)
    #expect(world.client.counters.channelsOpened == 10)
    #expect(world.client.connectedCount == 1)
    #expect(world.client.dialCount == 10)
    expectHonest(world)
  }

  @Test func atMostMaxChannels() {
    let world = World(ports: 10_001...10_100, maxChannels: 16)
    world.connect()
    #expect(world.client.channels.count == 16)
    #expect(Set(world.client.channels.values.map(\.remote.port)).count == 16)
    expectHonest(world)
  }

  /// A quarter of the ports is blocked: what is not answered at one of them is dialled at others.
  @Test(arguments: [Carrier.tcp, .udp])
  func anUnansweredDialGoesToAnotherPort(_ carrier: Carrier) {
    let world = World(ports: 10_001...10_100, maxChannels: 8) { $0.carriers = [carrier] }
    world.middlebox = { packet, way in
      way == .toServer && packet.destination.port % 4 == 0 ? nil : packet
    }
    world.run(for: .seconds(120))
    #expect(world.client.dialCount > 8, "one of the first was blocked")
    #expect(world.client.counters.channelsOpened == 8)
    #expect(world.client.channels.values.allSatisfy { $0.remote.port % 4 != 0 })
    expectHonest(world)
  }

  /// Each is replaced where it was, and datagrams take all of them.
  @Test(arguments: [[Carrier.tcp], [.tcp, .udp]])
  func severalChannelsToOnePort(_ carriers: [Carrier]) throws {
    let world = World(ports: 10_001...10_001) {
      $0.carriers = carriers
      $0.channelsPerPort = 5
      $0.schedule = .random
    }
    world.connect()
    #expect(world.client.channels.count == 5 * carriers.count)
    #expect(world.server.channels.count == 5 * carriers.count)
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(2), bothWays: true)
    let channels = try #require(world.client.session(at: world.now)).channels
    #expect(channels.allSatisfy { $0.sent.datagrams > 0 && $0.received.datagrams > 0 })
    let victim = try #require(world.client.channels.values.first)
    world.middlebox = { packet, _ in
      packet.source == victim.local || packet.destination == victim.local ? nil : packet
    }
    exchange.stream(for: .seconds(6), bothWays: true)
    world.run(for: .seconds(1))
    exchange.settle()
    #expect(world.client.channels.count == 5 * carriers.count)
    #expect(!world.client.channels.values.contains(victim))
    #expect(exchange.lost < 100)
    expectHonest(world, exchange)
  }

  @Test func severalClientsOnOneServer() {
    let world = World(clients: 5)
    world.connect()
    let exchanges = world.clients.map { Exchange(world, client: $0) }
    for (index, exchange) in exchanges.enumerated() {
      #expect(exchange.client.channels.count == 10)
      // Their apps have the same endpoints and flow ids: only the session tells them apart.
      world.clients[index].send(
        [[UInt8(index), 7, 7]], from: Exchange.endpoint(1), at: world.now)
    }
    world.run(for: .seconds(1))
    let arrivals = world.server.takeArrivals()
    #expect(arrivals.count == 5)
    #expect(Set(arrivals.map(\.flow)).count == 5)
    for arrival in arrivals {
      world.server.send([arrival.payload], origin: .flow(arrival.flow), at: world.now)
    }
    world.run(for: .seconds(1))
    for (index, client) in world.clients.enumerated() {
      #expect(client.takeArrivals().map(\.payload) == [[UInt8(index), 7, 7]])
    }
    expectHonest(world)
  }

  /// Held datagrams come out in order once the first channel is up.
  @Test func datagramsBeforeTheHandshake() {
    let world = World()
    let exchange = Exchange(world)
    for _ in 0..<64 { exchange.send(size: 100) }
    world.connect()
    expectHonest(world, exchange)
    #expect(exchange.delivered == 64)
    #expect(exchange.order == Array(1...64))
  }

  @Test func heldDatagramsAreBounded() {
    let world = World()
    let exchange = Exchange(world)
    for _ in 0..<70 { exchange.send(size: 10) }
    world.connect()
    expectHonest(world, exchange)
    #expect(exchange.order == Array(1...64))
    #expect(world.client.counters[.queueLimit] == 6)
  }

  @Test func heldBytesAreBounded() {
    let world = World(ports: 10_001...10_001)
    world.client.setPath(Path(mtu: 9000, carriesRuns: true), at: world.now)
    world.client.hasRoute = false
    let exchange = Exchange(world)
    for _ in 0..<30 { exchange.send(size: 8000) }
    #expect(world.client.counters[.queueLimit] == 30 - (128 << 10) / 8000)
  }

  @Test func heldDatagramsGrowOld() {
    let world = World()
    world.conditions.isDown = true
    let exchange = Exchange(world)
    exchange.send(count: 10, size: 100)
    world.run(for: .seconds(4))
    exchange.send(count: 5, size: 100)
    world.conditions.isDown = false
    world.run(for: .seconds(2))
    expectHonest(world, exchange)
    #expect(exchange.order == Array(11...15))
    #expect(world.client.counters[.heldTooLong] == 10)
  }

  /// A full queue of datagrams that are too old makes room for new ones.
  @Test func oldDatagramsMakeRoom() {
    let world = World(ports: 10_001...10_001)
    world.conditions.isDown = true
    let exchange = Exchange(world)
    for _ in 0..<64 { exchange.send(size: 100) }
    world.run(for: .milliseconds(3_001))
    exchange.send(size: 100)
    world.conditions.isDown = false
    world.run(for: .seconds(6))
    expectHonest(world, exchange)
    #expect(exchange.order.isEmpty || exchange.order == [65])
    #expect(world.client.counters[.heldTooLong] >= 64)
  }

  /// Held datagrams keep to the window where no scale was agreed.
  @Test func heldDatagramsHonourTheWindow() {
    let world = World(ports: 10_001...10_001)
    world.middlebox = Middlebox.withoutScale
    let exchange = Exchange(world)
    for _ in 0..<64 { exchange.send(size: Protection.largestDatagram) }
    world.connect()
    expectHonest(world, exchange)
    // 64 KiB, of which probes of the packet size take some.
    #expect(exchange.delivered >= 40)
  }

  @Test(arguments: [TCPFlags.syn, [.syn, .ack]]) func lostSYN(_ lost: TCPFlags) {
    let world = World(ports: 10_001...10_001)
    var dropped: [Instant] = []
    world.middlebox = { [unowned world] packet, _ in
      guard packet.flags == lost, dropped.count < 3 else { return packet }
      dropped.append(world.now)
      return nil
    }
    world.run(for: .seconds(3))
    let gaps = zip(dropped.dropFirst(), dropped).map { $0 - $1 }
    if lost == .syn { #expect(gaps == [.milliseconds(300), .milliseconds(600)]) }
    #expect(world.client.counters.channelsOpened >= 1)
    expectHonest(world)
  }

  @Test(arguments: [World.Direction.toServer, .toClient]) func lostHello(_ way: World.Direction) {
    let world = World(ports: 10_001...10_001)
    var dropped: [Instant] = []
    var sequences: Set<UInt32> = []
    var bodies: Set<[UInt8]> = []
    world.middlebox = { [unowned world] packet, direction in
      guard direction == way, packet.firstByte == HandshakeRecord.type else { return packet }
      sequences.insert(packet.sequence)
      bodies.insert(Array(packet.bytes[packet.headerLength...]))
      guard dropped.count < 3 else { return packet }
      dropped.append(world.now)
      return nil
    }
    let exchange = Exchange(world)
    exchange.send(size: 100)
    world.run(for: .milliseconds(2300))
    let gaps = zip(dropped.dropFirst(), dropped).map { $0 - $1 }
    #expect(gaps.prefix(2) == [.milliseconds(300), .milliseconds(600)])
    #expect(world.client.counters.channelsOpened >= 1)
    #expect(bodies.count == sequences.count)
    expectHonest(world, exchange)
    #expect(exchange.delivered == 1)
  }

  /// A SYN for a live four-tuple gets a SYN-ACK and does not touch the channel.
  @Test func duplicatedSYN() throws {
    let world = World(ports: 10_001...10_001)
    var syn: Packet?
    world.middlebox = { packet, _ in
      if packet.flags == .syn, syn == nil { syn = packet }
      return packet
    }
    let exchange = world.connect(streaming: .seconds(1))
    let repeated = try #require(syn)
    for _ in 0..<20 {
      world.inject(repeated, .toServer)
      exchange.stream(for: .milliseconds(50), bothWays: true)
    }
    world.run(for: .milliseconds(500))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    #expect(world.client.dialCount == 1)
  }

  @Test func everythingDuplicatedAndReordered() {
    let world = World()
    world.conditions.duplicationPerMille = 1000
    world.conditions.jitter = .milliseconds(30)
    let exchange = world.connect(streaming: .seconds(5), bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    #expect(world.client.channels.count == 10)
  }

  @Test func windowScaleStripped() {
    let world = World(ports: 10_001...10_001)
    world.middlebox = Middlebox.withoutScale
    world.connect()
    let exchange = Exchange(world)
    // 2 MB/s, and the window is 64 KiB: acknowledgments have to keep up.
    for _ in 0..<200 {
      exchange.send(count: 14, size: 1400)
      world.run(for: .milliseconds(10))
    }
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost < exchange.sent / 20)
  }

  /// 512 KiB of window at scale 3, 4 MiB at 10: the client's trackers know which.
  @Test(arguments: [(3, true), (10, false)])
  func windowScaleOfAProxy(_ scale: UInt8, isFull: Bool) {
    let world = World(ports: 10_001...10_001)
    world.middlebox = Middlebox.rescaling(to: scale)
    world.connect()
    let exchange = Exchange(world)
    // 672 kB at once.
    for _ in 0..<12 { exchange.send(count: 40, size: 1400, merged: true) }
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect((world.client.counters[.windowFull] > 0) == isFull)
    #expect((exchange.lost > 0) == isFull)
  }

  @Test func segmentSizeClamped() {
    let world = World(ports: 10_001...10_001)
    world.middlebox = Middlebox.clamping(to: 1300)
    world.connect()
    let exchange = Exchange(world)
    let limit = 1300 - Protection.overhead
    exchange.send(count: 5, size: limit)
    world.run(for: .milliseconds(500))
    exchange.reply(count: 5, size: limit)
    world.run(for: .milliseconds(500))
    #expect(world.largestPacket == 1340, "MSS, and 40 bytes of headers")
    exchange.send(size: limit + 1)
    exchange.reply(size: limit + 1)
    world.run(for: .milliseconds(500))
    expectHonest(world, exchange)
    #expect(exchange.delivered == 12)
    #expect(world.largestPacket == 1340)
  }

  @Test func pathMTUChange() {
    let world = World(ports: 10_001...10_001)
    world.connect()
    let exchange = Exchange(world)
    exchange.send(count: 3, size: Protection.largestDatagram)
    world.run(for: .milliseconds(200))
    world.client.setPath(Path(mtu: 1400, carriesRuns: false), at: world.now)
    let limit = 1360 - Protection.overhead
    exchange.send(count: 3, size: limit)
    exchange.send(size: limit + 1)
    world.run(for: .milliseconds(500))
    expectHonest(world, exchange)
    #expect(exchange.delivered == 7)
    let index = world.client.channels.keys.first ?? -1
    #expect(world.client.largestDatagram(channel: index) == limit)
  }

  /// No way to the server at first: it waits and connects by itself.
  @Test func noRouteAtStart() {
    let world = World()
    let host = Host(
      EngineConfiguration(
        role: .client(
          server: World.serverAddress, ports: PortSet([10_001...10_010]), maxChannels: 16)),
      address: IPAddress(ipv4: 0x0A00_0901), secret: 77, firstPort: 50_000, at: world.now)
    host.hasRoute = false
    world.addClient(host)
    world.run(for: .seconds(100))
    host.hasRoute = true
    host.networkChanged(at: world.now)
    world.run(for: .seconds(2))
    #expect(host.channels.count == 10)
    expectHonest(world)
  }
}
