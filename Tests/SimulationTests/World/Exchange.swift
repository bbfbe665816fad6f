// Datagrams both ways whose contents tell where they belong, and a ledger of what became of them.

import Engine
import Samples
import Wire

/// Sends datagrams through a world and judges what arrives.
final class Exchange {
  let world: World
  let client: Host
  private var random: SplitMix64
  private var numbers: UInt32 = 0
  private var open: [[UInt8]: Int] = [:]
  private var apps: [Int: UInt8] = [:]
  private(set) var sent = 0
  private(set) var delivered = 0
  /// Arrivals that were never sent, or came more often than they were sent.
  private(set) var strangers = 0
  /// Datagrams that came out at another flow than theirs.
  private(set) var mixed = 0
  /// What arrived at the server, in order: the numbers in the datagrams.
  private(set) var order: [UInt32] = []
  private(set) var lastArrival: Instant?
  /// The longest time between two arrivals, by direction.
  private(set) var longestGaps: [World.Direction: Duration] = [:]
  private var lastArrivals: [World.Direction: Instant] = [:]

  init(_ world: World, client: Host? = nil, seed: UInt64 = 5) {
    self.world = world
    self.client = client ?? world.client
    random = SplitMix64(seed: seed)
  }

  var lost: Int { sent - delivered }

  static func endpoint(_ app: UInt8) -> Endpoint {
    Endpoint(IPAddress(ipv4: 0x7F00_0001), 20_000 + UInt16(app))
  }

  /// A datagram: 1 byte for the app, 1 for the direction, 4 for its number, then random bytes.
  private func payload(app: UInt8, toServer: Bool, size: Int) -> [UInt8] {
    numbers += 1
    var bytes: [UInt8] = [app, toServer ? 1 : 2]
    for shift in [24, 16, 8, 0] {
      bytes.append(UInt8(truncatingIfNeeded: numbers >> UInt32(shift)))
    }
    bytes += random.bytes(max(size - 6, 0))
    bytes.removeLast(bytes.count - size)
    sent += 1
    open[bytes, default: 0] += 1
    return bytes
  }

  /// An app sends `count` datagrams; a size of nil means a random one of 0 to `largestDatagram` bytes each.
  func send(app: UInt8 = 1, count: Int = 1, size: Int? = nil, merged: Bool = false) {
    let payloads = (0..<count).map { _ in
      payload(
        app: app, toServer: true,
        size: size ?? Int.random(in: 0...Protection.largestDatagram, using: &random))
    }
    client.send(payloads, from: Self.endpoint(app), merged: merged, at: world.now)
    world.collect()
  }

  /// Several apps send one datagram each, and these wait together.
  func sendTogether(apps: ClosedRange<UInt8>, size: Int) {
    let all = apps.map { app in
      (payload: payload(app: app, toServer: true, size: size), source: Self.endpoint(app))
    }
    client.send(all, at: world.now)
    world.collect()
  }

  /// The target sends on the flow of an app that was heard before.
  func reply(app: UInt8 = 1, count: Int = 1, size: Int? = nil, merged: Bool = false) {
    settle()
    guard let flow = apps.first(where: { $0.value == app })?.key else { return }
    let payloads = (0..<count).map { _ in
      payload(
        app: app, toServer: false,
        size: size ?? Int.random(in: 0...Protection.largestDatagram, using: &random))
    }
    world.server.send(payloads, origin: .flow(flow), merged: merged, at: world.now)
    world.collect()
  }

  /// Sends one datagram each `interval` for `duration`.
  func stream(
    for duration: Duration, every interval: Duration = .milliseconds(10), size: Int? = 200,
    bothWays: Bool = false
  ) {
    let end = world.now + duration
    while world.now < end {
      send(size: size)
      if bothWays { reply(size: size) }
      world.run(for: interval)
    }
    settle()
  }

  /// Judges what has arrived since the last time.
  func settle() {
    for arrival in world.server.takeArrivals() {
      if let app = arrival.payload.first {
        if apps[arrival.flow] ?? app != app { mixed += 1 }
        apps[arrival.flow] = app
      }
      judge(arrival, .toServer)
    }
    for arrival in client.takeArrivals() {
      if let app = arrival.payload.first, arrival.destination != Self.endpoint(app) { mixed += 1 }
      judge(arrival, .toClient)
    }
  }

  private func judge(_ arrival: Arrival, _ direction: World.Direction) {
    lastArrival = arrival.time
    let gap = arrival.time - (lastArrivals[direction] ?? arrival.time)
    longestGaps[direction] = max(longestGaps[direction] ?? gap, gap)
    lastArrivals[direction] = arrival.time
    if arrival.payload.count >= 6 {
      order.append(arrival.payload[2..<6].reduce(0) { $0 << 8 | UInt32($1) })
    }
    guard let count = open[arrival.payload] else {
      strangers += 1
      return
    }
    open[arrival.payload] = count == 1 ? nil : count - 1
    delivered += 1
  }

  /// Forgets the flows that the server had before it was restarted.
  func forgetFlows() { apps.removeAll() }
}
