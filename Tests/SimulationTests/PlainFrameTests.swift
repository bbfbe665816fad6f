import Engine
import Testing
import Wire

/// What only frames that can be read on the way show.
@Suite struct PlainFrameTests {
  /// A released flow's id rests: a late datagram to it does not reach the next flow.
  @Test func flowIDsRest() {
    let world = World(ports: 10_001...10_001) { $0.idleTimeout = .seconds(10) }
    world.connect()
    var ids: [UInt16: Instant] = [:]
    var shortest = Duration.seconds(1_000_000)
    world.middlebox = { [unowned world] packet, direction in
      guard direction == .toServer, packet.firstByte == FrameType.datagram.rawValue else {
        return packet
      }
      let flow =
        UInt16(packet.bytes[packet.headerLength + 3]) << 8
        | UInt16(packet.bytes[packet.headerLength + 4])
      if let last = ids[flow] { shortest = min(shortest, world.now - last) }
      ids[flow] = world.now
      return packet
    }
    // 700 new apps every 10 s use up all 65,536 ids in a quarter of an hour.
    for round in 0..<1200 {
      for app in 0..<70 {
        world.client.send(
          [[1]], from: Endpoint(.any, UInt16((round * 70 + app) % 60_000 + 1)), at: world.now)
      }
      world.collect()
      world.run(for: .seconds(1))
    }
    #expect(ids.count == 65_536)
    #expect(shortest >= .seconds(20))
    #expect(world.client.counters[.flowLimit] == 0)
    expectHonest(world)
  }
}
