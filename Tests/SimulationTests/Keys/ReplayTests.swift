import Crypto
import Samples
import Testing
import Wire

@testable import Engine

/// Captured packets, sent again.
@Suite struct ReplayTests {
  private static func world() -> World {
    World(ports: 10_001...10_004) { $0.keys = [Protection.key(7)] }
  }

  /// Everything again and again while the client lives.
  @Test func whileTheClientLives() {
    let world = Self.world()
    let recorder = Recorder(world)
    world.connect()
    let exchange = Exchange(world)
    for _ in 0..<10 {
      exchange.stream(for: .milliseconds(500), bothWays: true)
      let captured = recorder.toServer
      // What the tracker has not seen yet is no repetition.
      world.run(for: .milliseconds(20))
      for start in stride(from: 0, to: captured.count, by: 64) {
        world.server.receive(
          Array(captured[start..<min(start + 64, captured.count)]), at: world.now)
      }
    }
    world.run(for: .seconds(1))
    exchange.settle()
    #expect(exchange.strangers == 0)
    #expect(exchange.lost == 0)
    #expect(world.client.dialCount == 4)
    #expect(world.server.channels.count == 4)
    #expect(world.server.counters[.repeatedFrame] > 0)
  }

  /// The same at a server that has forgotten everything: it was restarted, or the client is gone.
  @Test(arguments: [true, false]) func afterwards(isRestarted: Bool) {
    let world = Self.world()
    let recorder = Recorder(world)
    let exchange = world.connect(streaming: .seconds(2), bothWays: true)
    world.run(for: .seconds(1))
    exchange.settle()
    let captured = recorder.toServer
    world.middlebox = nil
    world.client.close(at: world.now)
    world.run(for: .seconds(2))
    world.killClient()
    if isRestarted { world.restartServer(secret: 555) { $0.keys = [Protection.key(7)] } }
    _ = world.server.takeOutgoing()
    for packet in captured { world.server.receive([packet], at: world.now) }
    let answers = world.server.takeOutgoing().map(\.packet)
    #expect(world.server.takeArrivals().isEmpty)
    #expect(world.server.channels.isEmpty)
    #expect(answers.allSatisfy { $0.flags == [.syn, .ack] || $0.flags == .rst })
  }

  /// A captured first message on a connection of the intruder's own: he is a stranger, and gets what
  /// any other gets, whatever the server remembers.
  @Test(arguments: [0, 1, 200]) func onAnotherConnection(secondsAfterRestart: Int) throws {
    let world = Self.world()
    let recorder = Recorder(world)
    world.connect()
    let messages = recorder.firstMessages
    #expect(messages.count == 4)
    if secondsAfterRestart > 0 {
      world.restartServer(secret: 556) { $0.keys = [Protection.key(7)] }
      world.server.setClock(
        Host.clock + UInt64(1000 * secondsAfterRestart), at: world.now)
    }
    for (number, message) in messages.enumerated() {
      let answers = Intruder(port: UInt16(2000 + number)).firstData(
        message.payload, to: world.server, at: world.now)
      #expect(answers.map(\.flags) == [.rst])
      #expect(answers.allSatisfy { $0.payloadLength == 0 })
    }
    let counters = world.server.counters
    #expect(
      counters[.staleHandshake] + counters[.repeatedHandshake] == UInt64(messages.count))
  }

  /// A repeated first message cannot push the client's own channel from its four-tuple.
  @Test func onTheClientsFourTuple() throws {
    let world = Self.world()
    let recorder = Recorder(world)
    world.connect()
    let exchange = Exchange(world)
    let syns = recorder.toServer.filter { $0.flags == .syn }
    let messages = recorder.firstMessages
    for _ in 0..<20 {
      for packet in syns + messages { world.server.receive([packet], at: world.now) }
      exchange.stream(for: .milliseconds(100), bothWays: true)
    }
    world.run(for: .seconds(1))
    #expect(exchange.settled.lost == 0)
    #expect(world.client.dialCount == 4)
  }
}
