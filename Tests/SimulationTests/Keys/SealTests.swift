import Crypto
import Samples
import Testing
import Wire

@testable import Engine

/// Sealed frames on a way that changes them.
@Suite struct SealTests {
  /// A million sealed frames of which many are damaged, cut, repeated or late: whatever is delivered was
  /// sent, and only once.
  @Test(arguments: [CipherPreference.aesGCM, .chaCha20])
  func aMillionFrames(_ cipher: CipherPreference) {
    let world = World(ports: 10_001...10_004) {
      $0.keys = [Protection.key(9)]
      $0.cipher = cipher
    }
    world.hasTrackers = false
    world.connect()
    world.conditions.jitter = .milliseconds(5)
    world.conditions.duplicationPerMille = 50
    var random = Samples.SplitMix64(seed: 17)
    var changed = 0
    world.middlebox = { packet, _ in
      guard packet.firstByte == SealedFrame.type else { return packet }
      let chance = UInt64.random(in: 0..<1000, using: &random)
      guard chance < 500 else { return packet }
      changed += 1
      return chance < 400 ? Self.flipped(packet, &random) : Self.cut(packet, &random)
    }
    let exchange = Exchange(world)
    let frames = 500_000
    while exchange.sent < frames {
      for _ in 0..<8 {
        exchange.send(count: 32, size: 40, merged: true)
        exchange.reply(count: 32, size: 40, merged: true)
      }
      world.run(for: .milliseconds(2))
    }
    world.middlebox = nil
    world.run(for: .seconds(1))
    exchange.settle()
    #expect(exchange.strangers == 0)
    #expect(exchange.mixed == 0)
    // Each has 16 frames on average.
    #expect(changed > 15_000)
    #expect(world.server.counters[.badSeal] > 1000)
    #expect(world.server.counters[.repeatedFrame] > 1000)
    #expect(exchange.lost < frames / 5)
  }

  private static func flipped(_ packet: Packet, _ random: inout Samples.SplitMix64) -> Packet {
    var changed = packet
    let place = Int.random(in: packet.headerLength..<packet.bytes.count, using: &random)
    changed.bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    changed.complete()
    return changed
  }

  private static func cut(_ packet: Packet, _ random: inout Samples.SplitMix64) -> Packet {
    var changed = packet
    changed.bytes.removeLast(Int.random(in: 1...packet.payloadLength, using: &random))
    changed.complete()
    return changed
  }

  /// Nothing of what is carried can be read, and the same datagram never looks the same.
  @Test func nothingIsReadable() {
    let world = World(ports: 10_001...10_001) { $0.keys = [Protection.key(9)] }
    let recorder = Recorder(world)
    world.connect()
    let pattern = [UInt8](repeating: 0xAB, count: 600)
    for _ in 0..<50 {
      world.client.send([pattern], from: Exchange.endpoint(1), at: world.now)
      world.run(for: .milliseconds(20))
    }
    #expect(world.server.takeArrivals().map(\.payload) == Array(repeating: pattern, count: 50))
    // Probes of the packet size are larger.
    let frames = recorder.toServer.filter { (601...700).contains($0.payloadLength) }.map(\.payload)
    #expect(frames.count == 50)
    #expect(Set(frames).count == 50)
    for frame in frames {
      let longest = frame.split { $0 != 0xAB }.map(\.count).max() ?? 0
      #expect(longest < 8)
    }
  }

  /// Keys wear out: the client replaces a channel in time, and nothing is lost for it.
  @Test func channelsAreReplacedBeforeTheirKeysWearOut() {
    let world = World(ports: 10_001...10_002) {
      $0.keys = [Protection.key(9)]
      $0.limits.framesBeforeReplacement = 1000
      $0.limits.framesPerKey = 1500
    }
    let exchange = world.connect(streaming: .seconds(60), bothWays: true)
    world.run(for: .milliseconds(100))
    expectHonest(world, exchange)
    #expect(exchange.lost == 0)
    // 12,000 datagrams, and a channel takes some 1,000 of either side.
    #expect((8...16).contains(world.client.dialCount))
    #expect(world.client.channels.count == 2)
  }

  /// Where no replacement can be had, a channel ends with its last frame.
  @Test func wornOutChannelsEnd() {
    let world = World(ports: 10_001...10_001) {
      $0.keys = [Protection.key(9)]
      $0.limits.framesBeforeReplacement = 1000
      $0.limits.framesPerKey = 1500
    }
    world.connect()
    world.middlebox = { packet, _ in packet.flags.contains(.syn) ? nil : packet }
    let exchange = Exchange(world)
    exchange.stream(for: .seconds(30))
    #expect((1400...1500).contains(exchange.delivered))
    #expect(world.server.channels.isEmpty)
    world.middlebox = nil
    world.run(for: .seconds(2))
    let before = exchange.settled.delivered
    exchange.stream(for: .seconds(2))
    #expect(exchange.delivered > before + 150)
  }
}
