import Engine
import Samples
import Testing
import Wire

/// Channels on ICMP echo, alone and beside the others. What they have in common with those on UDP is
/// in NumberedChannelTests.
@Suite(.withoutAndWithKey) struct ICMPTests {
  static let carriers: [[Carrier]] = [[.icmp], [.tcp, .udp, .icmp]]

  /// As many as to the ports of another carrier, each with an identifier of its own.
  @Test(arguments: carriers, AddressFamily.allCases)
  func asManyChannelsAsPorts(_ carriers: [Carrier], family: AddressFamily) {
    let world = World(family: family, configure: World.carriers(carriers))
    world.connect()
    let channels = world.client.channels.filter {
      world.client.carrier(channel: $0.key) == .icmp
    }
    #expect(channels.count == 10)
    #expect(Set(channels.values.map(\.local.port)).count == 10)
    #expect(channels.values.allSatisfy { $0.remote == Endpoint(world.server.address, 0) })
    #expect(channels.values.allSatisfy { $0.local.port != 0 })
    #expect(world.server.channels.count == 10 * carriers.count)
    #expect(world.client.connectedCount == 1)
    expectHonest(world)
  }

  @Test func atMostAsManyAsAllowed() {
    let world = World(maxChannels: 4) {
      $0.carriers = [.icmp]
      $0.channelsPerPort = 3
    }
    world.connect()
    #expect(world.client.channels.count == 4)
  }

  @Test(arguments: carriers, AddressFamily.allCases)
  func thousandsOfDatagramsBothWays(_ carriers: [Carrier], family: AddressFamily) {
    let world = World(
      ports: 10_001...10_003, family: family, configure: World.carriers(carriers))
    expectThousandsBothWays(world)
    if carriers == [.icmp] {
      #expect(world.client.largestRun == 1 && world.server.largestRun == 1)
    }
  }

  /// Only requests go to the server, only replies to the client; a reply has the identifier and the number
  /// of a request that went before it.
  @Test(arguments: AddressFamily.allCases)
  func repliesFitRequests(family: AddressFamily) {
    let world = World(
      ports: 10_001...10_002, family: family, configure: World.carriers([.icmp]))
    var requests: [UInt16: [UInt16]] = [:]
    var unfit = 0
    world.middlebox = { packet, direction in
      let type = packet.bytes[family == .ipv4 ? 20 : 40]
      let kind: EchoKind = direction == .toServer ? .request : .reply
      if type != kind.type(family) { unfit += 1 }
      if direction == .toServer {
        requests[packet.source.port, default: []].append(packet.echoSequence)
      } else if requests[packet.destination.port]?.contains(packet.echoSequence) != true {
        unfit += 1
      }
      return packet
    }
    let exchange = world.connect(streaming: .seconds(5), bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(unfit == 0 && exchange.lost == 0)
    // They count as those of ping(8) do.
    for numbers in requests.values { #expect(numbers == (1...UInt16(numbers.count)).map { $0 }) }
  }

  /// Nothing guards the server: its kernel answers each request, and the client takes none of its own
  /// data for the server's.
  @Test(arguments: AddressFamily.allCases)
  func requestsThatCameBackAreIgnored(family: AddressFamily) {
    let world = World(
      ports: 10_001...10_003, family: family, configure: World.carriers([.icmp]))
    world.hasTrackers = false
    var reflected = 0
    world.middlebox = { [unowned world] packet, direction in
      guard direction == .toServer else { return packet }
      reflected += 1
      // Before the server has it, and again.
      for _ in 0..<2 { world.client.receive([packet.answeredByKernel], at: world.now) }
      return packet
    }
    let exchange = world.connect(streaming: .seconds(5), bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(reflected > 100)
    #expect(exchange.lost == 0)
    #expect(world.client.counters[.malformed] == UInt64(2 * reflected))
  }

  /// Where the server is away its host answers all the same: no channel opens, and none stays.
  @Test func aHostWithoutServerIsNone() {
    let world = World(configure: World.carriers([.icmp]))
    world.hasTrackers = false
    world.middlebox = { [unowned world] packet, direction in
      guard direction == .toServer else { return packet }
      world.client.receive([packet.answeredByKernel], at: world.now)
      return nil
    }
    world.run(for: .seconds(20))
    #expect(world.client.connectedCount == 0)
    #expect(world.client.counters.channelsOpened == 0)
  }

  /// All carriers but one are blocked.
  @Test(arguments: Carrier.allCases) func oneOfThreeIsEnough(_ left: Carrier) {
    let world = World(configure: World.carriers([.tcp, .udp, .icmp]))
    world.middlebox = { packet, _ in packet.carrier == left ? packet : nil }
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
  }

  /// A NAT gives the client's channels other identifiers: they go on, without a new handshake.
  @Test func rebinding() {
    let world = World(ports: 10_001...10_003) {
      $0.carriers = [.icmp]
      $0.schedule = .random
    }
    let exchange = world.connect(streaming: .seconds(1), bothWays: true)
    let opened = world.client.counters.channelsOpened
    var renamed: [UInt16: UInt16] = [:]
    world.hasTrackers = false
    world.middlebox = { packet, direction in
      var changed = packet
      if direction == .toServer {
        renamed[packet.source.port &+ 12_000] = packet.source.port
        changed.setSourcePort(packet.source.port &+ 12_000)
      } else {
        // Nothing leads back from an old mapping.
        guard let port = renamed[packet.destination.port] else { return nil }
        changed.setDestinationPort(port)
      }
      changed.complete()
      return changed
    }
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

  /// Whatever a stranger asks, the answers together are no longer than the questions; a wrong checksum,
  /// and what only a server sends, is not answered.
  @Test func noAmplification() {
    let world = World(ports: 10_001...10_001, configure: World.carriers([.icmp]))
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
    var (worst, answered) = (0, 0)
    for number in 0..<20_000 {
      var payload = sample.randomElement(using: &random)!
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        payload[Int.random(in: 0..<payload.count, using: &random)] = .random(
          in: 0...255, using: &random)
      }
      payload.removeLast(Int.random(in: 0..<payload.count, using: &random))
      let stranger = Endpoint(
        IPAddress(ipv4: 0x0B00_0000 | .random(in: 0...0xFFFF, using: &random)), 99)
      let server = Endpoint(World.serverAddress, 0)
      var packet = Packet.echo(.request, from: stranger, to: server, payload)
      let isWrong = number % 4 == 0
      if isWrong { packet.bytes[22] ^= 1 }
      if number % 8 == 1 { packet = .echo(.reply, from: stranger, to: server, payload) }
      world.server.receive([packet], at: world.now)
      let answers = world.server.takeOutgoing().filter { $0.packet.destination == stranger }
      #expect(answers.isEmpty || number % 4 != 0 && number % 8 != 1)
      answered += answers.count
      worst = max(worst, answers.reduce(0) { $0 + $1.packet.payloadLength } - payload.count)
    }
    #expect(worst <= 0)
    #expect(answered > 0 || Protection.key != nil)
    #expect(world.server.counters[.badChecksum] == 5000)
  }

  /// A channel's number is of no use on another carrier.
  @Test func carriersKeepApart() {
    let world = World(ports: 10_001...10_001, configure: World.carriers([.udp, .icmp]))
    world.hasTrackers = false
    var crossed = 0
    world.middlebox = { [unowned world] packet, direction in
      let payload = Array(packet.bytes[packet.headerLength...])
      // What answers a segment that crossed is not to cross back.
      if payload.starts(with: [0x16, 3, 1, 0, 5, 5]) { return packet }
      crossed += 1
      let other: Packet =
        packet.isUDP
        ? .echo(
          direction == .toServer ? .request : .reply, from: packet.source, to: packet.destination,
          payload)
        : .datagram(from: packet.source, to: packet.destination, payload)
      let host = direction == .toServer ? world.server : world.client
      host.receive([other], at: world.now)
      return packet
    }
    let exchange = world.connect(streaming: .seconds(3), bothWays: true)
    world.run(for: .seconds(1))
    expectHonest(world, exchange)
    #expect(crossed > 100)
    #expect(exchange.lost == 0)
    #expect(world.client.channels.count == 2 && world.server.channels.count == 2)
  }

  /// An end that has no such channels takes no notice of any.
  @Test func withoutTheCarrierNothingIsTaken() {
    let world = World(ports: 10_001...10_001)
    world.connect()
    let knock = ChannelMessage.bytes(
      .knock, channel: 5, content: [UInt8](repeating: 0, count: 100))
    let before = world.server.counters[.malformed]
    world.server.receive(
      [
        .echo(
          .request, from: Endpoint(IPAddress(ipv4: 0x0B00_0001), 7),
          to: Endpoint(World.serverAddress, 0), knock)
      ], at: world.now)
    #expect(world.server.takeOutgoing().isEmpty)
    #expect(world.server.counters[.malformed] == before + 1)
  }

}
