import Crypto
import Testing
import Wire

@testable import Engine

/// Each bound is reached, has its counter, and leaves the honest alone.
@Suite struct LimitTests {
  private static let honest = Protection.key(1, name: "honest")
  private static let greedy = Protection.key(2, name: "greedy")

  private static func world(_ change: @escaping (inout EngineLimits) -> Void) -> World {
    let world = World(ports: 10_001...10_002) {
      $0.keys = $0.isServer ? [honest, greedy] : [honest]
      if $0.isServer { change(&$0.limits) }
    }
    world.connect()
    return world
  }

  /// A client with a key of its own that opens `channels` channels.
  private static func client(
    _ number: Int, of world: World, channels: Int = 1, session: SessionID? = nil
  ) -> Host {
    var configuration = EngineConfiguration(
      role: .client(
        server: World.serverAddress, ports: PortSet([10_001...10_002]), maxChannels: channels))
    configuration.keys = [greedy]
    let address = IPAddress(ipv4: 0x0B00_0001 + UInt32(number) << 8)
    let host = Host(
      configuration, address: address, secret: UInt64(number), session: session, at: world.now)
    world.addClient(host)
    world.collect()
    return host
  }

  private static func expectUndisturbed(
    _ world: World, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let exchange = Exchange(world, client: world.clients[0])
    exchange.stream(for: .seconds(1), bothWays: true)
    world.run(for: .milliseconds(100))
    #expect(exchange.settled.lost == 0, sourceLocation: sourceLocation)
  }

  /// With two keys one of them gets half of the sessions.
  @Test func sessions() {
    let world = Self.world { $0.sessions = 8 }
    for number in 0..<12 {
      _ = Self.client(number, of: world)
      world.run(for: .milliseconds(300))
    }
    #expect(world.server.counters[.sessionLimit] > 0)
    #expect(world.server.channels.count == 2 + 4)
    Self.expectUndisturbed(world)
  }

  @Test func channels() {
    let world = Self.world { $0.channels = 12 }
    for number in 0..<12 {
      _ = Self.client(number, of: world, channels: 2)
      world.run(for: .milliseconds(300))
    }
    #expect(world.server.counters[.channelLimit] > 0)
    #expect(world.server.channels.count == 2 + 6)
    Self.expectUndisturbed(world)
  }

  /// Of one session's channels the one that was silent for longest makes room.
  @Test func channelsOfASession() {
    let world = Self.world { $0.channelsPerSession = 3 }
    for number in 0..<6 {
      let host = Self.client(number, of: world, session: SessionID(high: 5, low: 5))
      world.run(for: .milliseconds(300))
      #expect(host.connectedCount == 1)
    }
    #expect(world.server.counters[.channelLimit] >= 3)
    #expect(world.server.channels.count == 2 + 3)
    Self.expectUndisturbed(world)
  }

  @Test func flows() {
    let world = Self.world { $0.flowsPerSession = 10 }
    for port in UInt16(1)...30 {
      world.client.send([[3]], from: Endpoint(.any, port), at: world.now)
    }
    world.run(for: .milliseconds(100))
    #expect(world.server.counters[.flowLimit] == 20)
    #expect(world.server.takeArrivals().count == 10)
  }

  /// Handshakes of one network are limited before those of all.
  @Test func handshakes() {
    let world = Self.world { $0.handshakesPerSecond = 64 }
    let others = (0..<40).map { Self.client($0, of: world, channels: 2) }
    world.run(for: .milliseconds(100))
    #expect(world.server.counters[.handshakeLimit] > 0)
    Self.expectUndisturbed(world)
    // They wait and get in.
    world.run(for: .seconds(10))
    #expect(others.allSatisfy { $0.connectedCount == 1 })
  }

  /// Whoever never confirms takes no place of a session's, and makes room for the next.
  @Test func unconfirmed() {
    let world = Self.world { $0.unconfirmedChannels = 4 }
    world.middlebox = { packet, direction in
      // Their frames never arrive.
      let isTheirs = packet.source.address.ipv4 >> 24 == 0x0B
      return isTheirs && packet.firstByte == SealedFrame.type ? nil : packet
    }
    for number in 0..<8 { _ = Self.client(number, of: world) }
    world.run(for: .milliseconds(100))
    #expect(world.server.counters[.handshakeLimit] > 0)
    #expect(world.server.channels.count == 2)
    Self.expectUndisturbed(world)
    #expect(world.server.counters.channelsOpened == 2)
    world.middlebox = nil
    let last = Self.client(9, of: world)
    world.run(for: .milliseconds(200))
    #expect(last.connectedCount == 1)
  }

  @Test func queuedBytes() {
    let world = World(ports: 10_001...10_001) { $0.limits.queuedBytes = 1000 }
    for _ in 0..<10 {
      world.client.send([[UInt8](repeating: 1, count: 200)], at: world.now)
    }
    #expect(world.client.counters[.queueLimit] == 5)
  }
}
