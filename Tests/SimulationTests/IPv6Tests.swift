import Engine
import Samples
import Testing
import Wire

/// What has to do with addresses, on IPv6: the tunnel's own connections, strangers, limits, sizes.
@Suite(.withoutAndWithKey) struct IPv6Tests {
  @Test(arguments: [0, 50], [[Carrier.tcp], [.udp], [.tcp, .udp]])
  func datagramsPassBothWays(_ loss: Int, _ carriers: [Carrier]) {
    let world = World(seed: 6, family: .ipv6, configure: World.carriers(carriers))
    world.keepsRuns = loss == 0
    world.connect()
    #expect(world.client.channels.count == 10 * carriers.count)
    #expect(world.client.channels.values.allSatisfy { !$0.isIPv4 })
    let exchange = Exchange(world)
    world.conditions.lossPerMille = loss
    exchange.stream(for: .seconds(10), bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(loss > 0 || exchange.lost == 0)
    #expect(exchange.delivered > exchange.sent * 8 / 10)
    #expect(world.oversized == 0)
  }

  /// MSS 1440 both ways, the window of 45 such segments, and one flow label a direction.
  @Test func handshakeIsThatOfAKernel() throws {
    let world = World(ports: 10_001...10_001, family: .ipv6)
    var labels: [World.Direction: Set<UInt32>] = [:]
    world.middlebox = { packet, direction in
      labels[direction, default: []].insert(packet.number32(at: 0))
      if packet.flags.contains(.syn) {
        #expect(packet.options.maximumSegmentSize == 1440)
        #expect(packet.window == 64_800)
      }
      return packet
    }
    let exchange = world.connect(streaming: .seconds(1), bothWays: true)
    #expect(labels[.toServer]?.count == 1 && labels[.toClient]?.count == 1)
    #expect(labels[.toServer] != labels[.toClient])
    let all = (labels[.toServer] ?? []).union(labels[.toClient] ?? [])
    #expect(all.allSatisfy { $0 >> 20 == 0x600 }, "version 6, traffic class 0")
    expectHonest(world, exchange)
  }

  /// The largest datagram that fits a segment is 20 bytes smaller than on IPv4; one with a byte more
  /// travels in pieces.
  @Test(arguments: Carrier.allCases) func largestDatagram(_ carrier: Carrier) {
    let limits = AddressFamily.allCases.map { family in
      let world = World(
        ports: 10_001...10_001, family: family, configure: World.carriers([carrier]))
      world.connect()
      let limit = world.client.channels.keys.first.flatMap {
        world.client.largestDatagram(channel: $0)
      }
      let exchange = Exchange(world)
      for size in [limit ?? 0, (limit ?? 0) + 1, 9000] { exchange.send(count: 5, size: size) }
      world.run(for: .seconds(1))
      expectHonest(world, exchange)
      #expect(exchange.delivered == 15)
      #expect(world.oversized == 0)
      #expect(world.largestPacket == 1500)
      return limit ?? 0
    }
    #expect(limits[0] - limits[1] == 20)
  }

  /// A router on the way lowers the MSS of SYNs: no segment is larger.
  @Test func loweredMSSIsObeyed() {
    let world = World(ports: 10_001...10_002, family: .ipv6)
    var largest = 0
    world.middlebox = { packet, _ in
      var packet = packet
      if packet.flags.contains(.syn) {
        packet.bytes[62] = 5
        packet.bytes[63] = 20  // 1300
        packet.complete()
      }
      largest = max(largest, packet.payloadLength)
      return packet
    }
    world.connect()
    let exchange = Exchange(world)
    for _ in 0..<20 {
      exchange.send(count: 5, size: 1300 - Protection.overhead)
      exchange.reply(count: 5, size: 1300 - Protection.overhead)
      world.run(for: .milliseconds(10))
    }
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(largest == 1300)
    #expect(exchange.lost == 0 || world.server.counters[.tooLarge] == 0)
  }

  @Test func serverRestart() {
    let world = World(family: .ipv6)
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    world.restartServer(secret: 1234)
    exchange.forgetFlows()
    exchange.stream(for: .seconds(5))
    let (sent, delivered) = (exchange.sent, exchange.delivered)
    exchange.stream(for: .seconds(2), bothWays: true)
    world.run(for: .seconds(1))
    #expect(exchange.sent - sent <= exchange.delivered - delivered)
    #expect(world.client.channels.count == 10)
    #expect(exchange.strangers == 0)
  }

  /// What nobody has a channel for gets an RST, limited for each /48.
  @Test func strangersAreLimitedByNetwork() {
    let world = World(ports: 10_001...10_001, family: .ipv6)
    world.connect()
    for number in 0..<400 as Range<UInt64> {
      let address = IPAddress(high: 0x2001_0DB8_0007_0000 + number, low: number)
      world.server.receive(
        [
          .bare(
            from: Endpoint(address, 5000), to: Endpoint(world.server.address, 10_001),
            sequence: 1, acknowledgment: 2, flags: .ack, payload: [1, 2, 3])
        ], at: world.now)
    }
    let answers = world.server.takeOutgoing().count { $0.packet.flags.contains(.rst) }
    #expect((20...60).contains(answers))
  }
}
