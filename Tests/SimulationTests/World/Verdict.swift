// What must hold in every scenario, whatever the path did.

import Engine
import Testing
import Wire

/// Nothing delivered twice, damaged or to the wrong flow; no packet INVALID at a tracker, none
/// larger than the MTU.
func expectHonest(
  _ world: World, _ exchange: Exchange? = nil, sourceLocation: SourceLocation = #_sourceLocation
) {
  exchange?.settle()
  #expect(world.complaints.isEmpty, "\(world.complaints.prefix(5))", sourceLocation: sourceLocation)
  #expect(world.oversized == 0, sourceLocation: sourceLocation)
  if let exchange {
    #expect(exchange.strangers == 0, sourceLocation: sourceLocation)
    #expect(exchange.mixed == 0, sourceLocation: sourceLocation)
  }
}

/// Thousands of datagrams both ways, of any size, alone and merged: all arrive.
func expectThousandsBothWays(
  _ world: World, sourceLocation: SourceLocation = #_sourceLocation
) {
  let exchange = Exchange(world)
  exchange.send(size: 10)
  world.connect()
  for _ in 0..<60 {
    exchange.send(count: 20, size: 1200, merged: true)
    exchange.send(count: 10)
    exchange.reply(count: 20, size: 1000, merged: true)
    exchange.reply(count: 10)
    world.run(for: .milliseconds(7))
  }
  world.run(for: .seconds(1))
  expectHonest(world, exchange, sourceLocation: sourceLocation)
  #expect(exchange.lost == 0, sourceLocation: sourceLocation)
}

extension Host {
  var connectedCount: Int {
    count { if case .connected = $0 { true } else { false } }
  }

  var disconnectedCount: Int {
    count { if case .disconnected = $0 { true } else { false } }
  }

  var dialCount: Int {
    count { if case .dial = $0 { true } else { false } }
  }
}
