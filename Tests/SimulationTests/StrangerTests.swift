import Crypto
import Engine
import Samples
import Testing
import Wire

/// Who a server with a decoy takes for a stranger, and what its driver is told.
@Suite struct StrangerTests {
  private static let request = Array("GET / HTTP/1.1\r\n\r\n".utf8)
  private static let start = Instant(nanoseconds: 5_000_000_000_000)

  private static func server(
    hasDecoy: Bool = true, _ configure: (inout EngineConfiguration) -> Void = { _ in }
  ) -> Host {
    var configuration = EngineConfiguration(role: .server(ports: PortSet([443...443])))
    configuration.keys = [Protection.key(42)]
    configuration.hasDecoy = hasDecoy
    configure(&configuration)
    return Host(configuration, address: World.serverAddress, at: start)
  }

  @Test func itsFirstDataIsTheDrivers() throws {
    let server = Self.server()
    let probe = Probe(server, options: [2, 4, 5, 0xB4, 4, 2, 3, 3, 10], at: Self.start)
    probe.send(Self.request, window: 63)
    #expect(probe.answers().isEmpty)
    let stranger = try #require(probe.strangers.first)
    #expect(stranger.tuple == probe.tuple)
    #expect(stranger.receiveNext == probe.sequence)
    #expect(stranger.sendNext == probe.acknowledgment)
    #expect(stranger.payload == Self.request)
    #expect(stranger.maximumSegmentSize == 1460)
    #expect(stranger.sendWindow == 63 << 10)
    #expect(stranger.sendScale == 10 && stranger.receiveScale == 7)
    #expect(stranger.receiveWindow == 502 << 7)
    #expect(stranger.permitsSelectiveAcknowledgment)
    #expect(server.counters[.badHello] == 1)

    server.welcome(stranger, at: Self.start)
    let answer = try #require(probe.answers().first)
    #expect(answer.isPureAcknowledgment && answer.window == 502)
    #expect(answer.sequence == probe.acknowledgment)
    #expect(answer.acknowledgment == probe.sequence &+ UInt32(Self.request.count))
  }

  @Test func theRestIsTheKernelsUntilItEnds() throws {
    let server = Self.server()
    let probe = Probe(server, at: Self.start)
    probe.send(Self.request)
    let stranger = try #require(probe.strangers.first)
    server.welcome(stranger, at: Self.start)
    _ = probe.answers()
    for flags: TCPFlags in [[.ack], [.ack, .psh], [.ack, .fin], .rst, .syn] {
      probe.send(Self.request, at: 18, flags: flags)
      probe.send([], at: 36, flags: flags)
    }
    #expect(probe.answers().isEmpty && probe.strangers.count == 1)
    server.forget(stranger.tuple)
    probe.send(Self.request, at: 18)
    #expect(probe.answers().map(\.flags) == [.rst])
    let next = Probe(server, isn: 99, at: Self.start)
    #expect(next.tuple == probe.tuple)
    next.send(Self.request)
    #expect(next.strangers.count == 2)
  }

  /// Segments that were read together with the first one.
  @Test func whatCameRightBehindIsTaken() throws {
    let server = Self.server()
    let probe = Probe(server, at: Self.start)
    let bytes = (0..<3000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let parts = [0..<1460, 2000..<2100, 1460..<2000, 1460..<2000, 2000..<3000].map {
      probe.packet(Array(bytes[$0]), at: $0.lowerBound)
    }
    server.receive(parts, at: Self.start)
    #expect(try #require(probe.strangers.last).payload == bytes)
    #expect(probe.strangers.count == 1 && probe.answers().isEmpty)
  }

  @Test func itsFirstDataIsBounded() throws {
    let probe = Probe(Self.server(), at: Self.start)
    probe.send([UInt8](repeating: 7, count: 40_000))
    let stranger = try #require(probe.strangers.first)
    #expect(stranger.payload.count == 16_384)
    probe.server.welcome(stranger, at: Self.start)
    #expect(probe.answers().first?.acknowledgment == probe.sequence &+ 16_384)
  }

  /// A reset would end a connection whose first segment was lost or overtaken.
  @Test func dataBehindAHoleWaitsForTheFirst() throws {
    let probe = Probe(Self.server(), at: Self.start)
    probe.send(Self.request, at: 1460)
    probe.send(Self.request, at: 60_000)
    #expect(probe.answers().isEmpty && probe.strangers.isEmpty)
    probe.send(Self.request)
    #expect(probe.strangers.count == 1)
  }

  @Test func dataWithoutAHandshakeIsReset() {
    var probe = Probe(Self.server(), at: Self.start)
    for offset in [-1, 70_000] {
      probe.send(Self.request, at: offset)
      #expect(probe.answers().map(\.flags) == [.rst])
    }
    probe.acknowledgment &+= 1
    probe.send(Self.request)
    #expect(probe.answers().map(\.flags) == [.rst])
    #expect(probe.strangers.isEmpty)
  }

  @Test func aBareConnectIsNothing() {
    let probe = Probe(Self.server(), at: Self.start)
    probe.send([])
    probe.send([], flags: [.ack, .fin])
    #expect(probe.answers().isEmpty && probe.strangers.isEmpty)
  }

  @Test func windowsAreNotScaledWhereTheSYNDidNot() throws {
    let probe = Probe(Self.server(), options: [2, 4, 2, 0x18], at: Self.start)
    probe.send(Self.request, window: 5000)
    let stranger = try #require(probe.strangers.first)
    #expect(stranger.sendScale == 0 && stranger.receiveScale == 0)
    #expect(stranger.sendWindow == 5000 && stranger.receiveWindow == 64_240)
    #expect(stranger.maximumSegmentSize == 536)
    #expect(!stranger.permitsSelectiveAcknowledgment)
    probe.server.welcome(stranger, at: Self.start)
    #expect(probe.answers().first?.window == 64_240)
  }

  /// A flood of SYNs takes the place of what was known of one; it is taken for a usual one.
  @Test func aForgottenSYNWasAUsualOne() throws {
    let server = Self.server()
    let probe = Probe(server, options: [2, 4, 5, 0xB4, 3, 3, 10], at: Self.start)
    for number in 0..<100_000 as Range<UInt32> {
      let source = Endpoint(IPAddress(ipv4: 0x0B00_0000 + number << 8), 1000)
      server.receive([Probe.syn(from: source, isn: number, options: [])], at: Self.start)
    }
    _ = server.takeOutgoing()
    probe.send(Self.request, window: 63)
    let stranger = try #require(probe.strangers.first)
    #expect(stranger.sendScale == 7 && stranger.permitsSelectiveAcknowledgment)
  }

  @Test func oneThatCannotBeTakenInIsReset() throws {
    let probe = Probe(Self.server(), at: Self.start)
    probe.send(Self.request)
    probe.server.turnAway(try #require(probe.strangers.first), at: Self.start)
    let answer = try #require(probe.answers().first)
    #expect(answer.flags == .rst && answer.sequence == probe.acknowledgment)
    // What it says now is no first data any more, but data without a handshake.
    probe.send(Self.request, at: 18)
    #expect(probe.answers().map(\.flags) == [.rst])
  }

  @Test func withoutADecoyItIsReset() {
    let probe = Probe(Self.server(hasDecoy: false), at: Self.start)
    probe.send(Self.request)
    #expect(probe.answers().map(\.flags) == [.rst])
    #expect(probe.strangers.isEmpty)
  }

  /// 300 at once, each from a network of its own, or all from one.
  @Test(arguments: [(300, 256), (1, 101)])
  func thereAreOnlySoMany(networks: Int, admitted: Int) {
    let server = Self.server()
    let probe = { (number: Int, now: Instant) in
      let network = UInt32(number % networks)
      let source = Endpoint(
        IPAddress(ipv4: 0x0B00_0001 + network << 8), UInt16(1000 + number))
      Probe(server, from: source, at: now).send(Self.request)
    }
    for number in 0..<300 { probe(number, Self.start) }
    #expect(server.strangers.count == admitted)
    #expect(server.counters[.strangerLimit] == UInt64(300 - admitted))
    for stranger in server.strangers { server.forget(stranger.tuple) }
    probe(300, Self.start + .seconds(1))
    #expect(server.strangers.count == admitted + 1)
  }

  @Test func soManyInASecondEvenIfTheyLeave() {
    let server = Self.server()
    for number in UInt32(0)..<300 {
      let source = Endpoint(IPAddress(ipv4: 0x0B00_0001 + number << 8), 1000)
      let probe = Probe(server, from: source, at: Self.start)
      probe.send(Self.request)
      server.forget(probe.tuple)
    }
    #expect(server.strangers.count == 257)
  }

  /// What a server does not know on ports that others have too may be theirs: it is not reset, with a cookie
  /// or without one.
  @Test(arguments: [true, false])
  func othersAreNotReset(ownsPorts: Bool) {
    let server = Self.server(hasDecoy: false) { $0.ownsPorts = ownsPorts }
    let probe = Probe(server, at: Self.start)
    probe.send(Self.request)
    probe.send(Self.request, at: 1 << 20)
    #expect(probe.answers().map(\.flags) == (ownsPorts ? [.rst, .rst] : []))
    #expect(server.counters[.badHello] == 2)
  }

  /// A client with the key gets in; its first messages said again by somebody else are a stranger's,
  /// and so are those of a client with another key.
  @Test func aClientIsNoStranger() {
    let world = World(ports: 443...443) {
      $0.keys = [Protection.key(42)]
      $0.hasDecoy = true
    }
    var messages: [[UInt8]] = []
    world.middlebox = { packet, direction in
      if direction == .toServer, packet.firstByte == HandshakeRecord.type {
        messages.append(Array(packet.bytes[packet.headerLength...]))
      }
      return packet
    }
    world.connect()
    #expect(world.server.strangers.isEmpty && !messages.isEmpty)
    for (number, message) in messages.enumerated() {
      let source = Endpoint(IPAddress(ipv4: 0x0B00_0001), UInt16(1000 + number))
      Probe(world.server, from: source, at: world.now).send(message)
    }
    #expect(world.server.strangers.map(\.payload) == messages)
    let other = World(ports: 443...443) {
      if case .client = $0.role {
        $0.keys = [Protection.key(1)]
      } else {
        $0.keys = [Protection.key(2)]
      }
      $0.hasDecoy = true
    }
    other.run(for: .seconds(2))
    #expect(!other.server.strangers.isEmpty)
    #expect(other.server.counters[.unknownKey] == UInt64(other.server.strangers.count))
    #expect(other.server.channels.isEmpty)
  }
}

/// Somebody with a TCP of the usual kind.
private struct Probe {
  let server: Host
  let tuple: FourTuple
  /// Of the first byte that it sends.
  let sequence: UInt32
  /// What it has got of the server.
  var acknowledgment: UInt32
  private let now: Instant

  /// Connects.
  init(
    _ server: Host, from source: Endpoint = Endpoint(IPAddress(ipv4: 0xC000_0299), 5000),
    options: [UInt8] = [2, 4, 5, 0xB4, 4, 2, 3, 3, 7], isn: UInt32 = 77, at now: Instant
  ) {
    self.server = server
    self.now = now
    tuple = FourTuple(local: Endpoint(World.serverAddress, 443), remote: source)
    server.receive([Self.syn(from: source, isn: isn, options: options)], at: now)
    let answer = server.takeOutgoing().last?.packet
    sequence = isn &+ 1
    acknowledgment = (answer?.sequence ?? 0) &+ 1
    send([])
  }

  var strangers: [Stranger] { server.strangers }

  func answers() -> [Packet] { server.takeOutgoing().map(\.packet) }

  func send(
    _ payload: [UInt8], at offset: Int = 0, flags: TCPFlags = [.ack, .psh], window: UInt16 = 1000
  ) {
    server.receive([packet(payload, at: offset, flags: flags, window: window)], at: now)
  }

  func packet(
    _ payload: [UInt8], at offset: Int = 0, flags: TCPFlags = [.ack, .psh], window: UInt16 = 1000
  ) -> Packet {
    .bare(
      from: tuple.remote, to: tuple.local,
      sequence: sequence &+ UInt32(truncatingIfNeeded: offset), acknowledgment: acknowledgment,
      flags: flags, window: window, payload: payload)
  }

  static func syn(from source: Endpoint, isn: UInt32, options: [UInt8]) -> Packet {
    let padding = [UInt8](repeating: 1, count: -options.count & 3)
    var packet = Packet.bare(
      from: source, to: Endpoint(World.serverAddress, 443), sequence: isn, acknowledgment: 0,
      flags: .syn, payload: options + padding)
    packet.bytes[32] = UInt8(5 + (options.count + 3) / 4) << 4
    packet.complete()
    return packet
  }
}

extension Host {
  fileprivate var strangers: [Stranger] {
    events.compactMap { if case .stranger(let stranger) = $0.event { stranger } else { nil } }
  }
}
