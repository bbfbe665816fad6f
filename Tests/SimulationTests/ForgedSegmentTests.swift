import Engine
import Samples
import Testing
import Wire

/// RSTs, FINs and other segments that neither end sent.
@Suite(.withoutAndWithKey) struct ForgedSegmentTests {
  /// Forged RSTs and FINs with exact sequence numbers, through trackers that believe them.
  @Test(arguments: [TCPFlags.rst, [.fin, .ack]], [World.Direction.toServer, .toClient])
  func forgedReset(_ flags: TCPFlags, _ direction: World.Direction) throws {
    let world = World()
    var latest: [Endpoint: (client: Packet?, server: Packet?)] = [:]
    world.middlebox = { packet, way in
      let client = way == .toServer ? packet.source : packet.destination
      var known = latest[client] ?? (nil, nil)
      if way == .toServer { known.client = packet } else { known.server = packet }
      latest[client] = known
      return packet
    }
    let exchange = world.connect(streaming: .seconds(3), bothWays: true)
    world.run(for: .milliseconds(700))
    expectHonest(world, exchange)
    let before = Set(world.client.channels.values)
    for tuple in before {
      let known = try #require(latest[tuple.local])
      let sender = try #require(direction == .toServer ? known.client : known.server)
      let receiver = try #require(direction == .toServer ? known.server : known.client)
      world.inject(
        .bare(
          from: sender.source, to: sender.destination, sequence: receiver.acknowledgment,
          acknowledgment: flags == .rst ? 0 : sender.acknowledgment, flags: flags,
          window: UInt16(sender.window)),
        direction)
    }
    world.run(for: .seconds(3))
    let after = Set(world.client.channels.values)
    #expect(before.isDisjoint(with: after))
    #expect(after.count == 10)
    world.run(for: .seconds(15))
    exchange.stream(for: .seconds(5), bothWays: true)
    world.run(for: .seconds(1))
    #expect(exchange.lost == 0)
    #expect(world.client.disconnectedCount == 0)
    #expect(world.traffic[0].resets + world.traffic[1].resets == (flags == .rst ? 10 : 0))
    expectHonest(world, exchange)
  }

  /// The same right before the server's Hello, or the client's first frame, of ten channels.
  @Test(arguments: [TCPFlags.rst, [.fin, .ack]], [World.Direction.toServer, .toClient])
  func forgedResetWhileOpening(_ flags: TCPFlags, _ direction: World.Direction) {
    let world = World()
    var hit: Set<Endpoint> = []
    world.middlebox = { [unowned world] packet, way in
      let server = way == .toClient ? packet.source : packet.destination
      let isHello = packet.firstByte == 0x16
      if way == direction, packet.payloadLength > 0, isHello == (way == .toClient),
        hit.insert(server).inserted
      {
        world.inject(
          .bare(
            from: packet.source, to: packet.destination, sequence: packet.sequence,
            acknowledgment: flags == .rst ? 0 : packet.acknowledgment, flags: flags), way)
      }
      return packet
    }
    world.connect()
    world.run(for: .seconds(15))
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(5), bothWays: true)
    world.run(for: .seconds(1))
    #expect(exchange.lost == 0)
    #expect(hit.count == 10)
    #expect(world.client.channels.count == 10)
    expectHonest(world, exchange)
  }

  /// RSTs forged while both sides send: lost is at most what was in flight.
  @Test func forgedResetUnderLoad() throws {
    let world = World()
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    var hits = 0
    world.middlebox = { packet, way in
      if way == .toClient, packet.payloadLength > 0, hits < 300, packet.sequence % 5 == 0 {
        hits += 1
        world.inject(
          .bare(
            from: packet.source, to: packet.destination, sequence: packet.end, acknowledgment: 0,
            flags: .rst), .toClient)
      }
      return packet
    }
    exchange.stream(for: .seconds(30), bothWays: true)
    world.middlebox = nil
    exchange.stream(for: .seconds(20), bothWays: true)
    world.run(for: .seconds(1))
    #expect(hits > 20)
    #expect(exchange.strangers == 0)
    #expect(exchange.lost * 100 < exchange.sent)
    #expect(world.client.channels.count == 10)
  }

  /// Random sequence numbers and flags from an outsider change nothing.
  @Test func blindForgery() {
    let world = World(ports: 10_001...10_002)
    world.connect()
    let exchange = Exchange(world)
    var random = SplitMix64(seed: 4)
    for _ in 0..<200 {
      for tuple in world.client.channels.values {
        world.client.receive(
          [
            .bare(
              from: tuple.remote, to: tuple.local,
              sequence: UInt32.random(in: 0 ... .max, using: &random),
              acknowledgment: UInt32.random(in: 0 ... .max, using: &random),
              flags: TCPFlags(rawValue: UInt8.random(in: 0..<64, using: &random) & ~2))
          ], at: world.now)
      }
      exchange.stream(for: .milliseconds(20), bothWays: true)
    }
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
  }
}
