import Engine
import Samples
import Testing
import Wire

/// What the engine says of itself, and a client that opens its channels anew because it was told to.
@Suite(.withoutAndWithKey) struct StatusTests {
  /// What one end sent is what the other received, channel by channel.
  @Test func bothEndsCountTheSame() throws {
    let world = World()
    world.connect()
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(2), size: nil, bothWays: true)
    for _ in 0..<20 {
      exchange.send(count: 40, size: 1200, merged: true)
      world.run(for: .milliseconds(20))
    }
    world.run(for: .seconds(1))
    exchange.settle()
    #expect(exchange.lost == 0)

    let client = try #require(world.client.session(at: world.now))
    let server = try #require(world.server.session(at: world.now))
    #expect(client.id == server.id && client.id == world.client.session)
    #expect(client.state == .connected && server.state == .connected)
    #expect(client.flows == 1 && server.flows == 1)
    #expect(client.channels.count == 10 && server.channels.count == 10)
    for channel in client.channels {
      let other = try #require(server.channels.first { $0.id == channel.id })
      #expect(channel.tuple.local == other.tuple.remote)
      #expect(channel.sent == other.received && channel.received == other.sent)
      #expect(channel.state == .healthy && other.state == .healthy)
      #expect(channel.sent.segments > 0 && channel.sent.bytes > channel.sent.datagrams)
      #expect(channel.roundTrip ?? .zero >= .milliseconds(20))
      #expect((channel.age ?? .zero) > .seconds(3))
    }
    let sent = client.channels.map(\.sent.datagrams).reduce(0, +)
    #expect(sent == world.client.engine.status.counters.datagramsSent)
    #expect(sent + server.channels.map(\.sent.datagrams).reduce(0, +) == UInt64(exchange.sent))
  }

  @Test func statesFollowThePath() throws {
    let world = World()
    let before = try #require(world.client.session(at: world.now))
    #expect(before.state == .connecting)
    #expect(before.channels.allSatisfy { $0.state == .dialling && $0.age == nil })
    let exchange = world.connect(streaming: .seconds(1))
    world.conditions.isDown = true
    exchange.stream(for: .seconds(10))
    let silent = try #require(world.client.session(at: world.now))
    #expect(silent.state == .silent)
    let open = silent.channels.filter { $0.age != nil }
    #expect(open.count == 10 && open.allSatisfy { $0.state == .silent })
    #expect(open.allSatisfy { $0.silence > .seconds(9) })
    world.conditions.isDown = false
    world.run(for: .seconds(12))
    let back = try #require(world.client.session(at: world.now))
    #expect(back.state == .connected)
    expectHonest(world, exchange)
  }

  /// Every channel is another one within a second, and no datagram is lost on the way there.
  @Test func reconnectLosesNothing() throws {
    let world = World()
    world.connect()
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(2), every: .milliseconds(1), bothWays: true)
    let before = Set(world.client.channels.values)
    #expect(before.count == 10)
    world.client.reconnect(at: world.now)
    world.collect()
    exchange.stream(for: .seconds(2), every: .milliseconds(1), bothWays: true)
    world.run(for: .seconds(3))
    exchange.settle()
    let after = Set(world.client.channels.values)
    #expect(after.count == 10 && after.isDisjoint(with: before))
    #expect(world.server.channels.count == 10)
    #expect(exchange.lost == 0)
    expectHonest(world, exchange)
  }

  /// While the server does not answer, what there is stays.
  @Test func reconnectKeepsWhatThereIs() {
    let world = World()
    world.connect()
    let before = Set(world.client.channels.values)
    world.middlebox = { packet, direction in
      direction == .toServer && packet.flags.contains(.syn) ? nil : packet
    }
    world.client.reconnect(at: world.now)
    world.collect()
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(20))
    exchange.settle()
    #expect(exchange.lost <= 2)
    #expect(before.isSubset(of: Set(world.client.channels.values)))
    expectHonest(world, exchange)
  }
}
