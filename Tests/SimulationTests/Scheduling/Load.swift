// A flow at a steady rate from a client's app, and what became of it over time.

import Engine
import Wire

/// One app's datagrams to the server.
final class Load {
  let world: World
  /// Bytes of each datagram.
  let size: Int
  /// Bits a second.
  let rate: Int
  /// How many datagrams it sends at once.
  private let clump: Int
  private let app: Endpoint
  private var sentAt: [Instant] = []
  private var isThere: [Bool] = []
  private var highest = -1
  private let start: Instant
  /// Datagrams that came behind one with a higher number.
  private(set) var reordered = 0
  /// Datagrams that came more than once.
  private(set) var repeated = 0
  /// The bytes of packets with datagrams that were sent on the channels to each port, in all.
  private(set) var carried: [UInt16: Int] = [:]
  /// How much of that was sent on channels on UDP.
  private(set) var carriedByUDP = 0
  /// The longest way of a datagram that was sent after `mark`.
  private(set) var longestDelay = Duration.zero
  private var mark: Instant
  /// Another load of the world's, with datagrams of another size.
  weak var other: Load?

  init(_ world: World, rate: Int, size: Int = 1400, clump: Int = 4, app: UInt16 = 1) {
    self.world = world
    self.rate = rate
    self.size = size
    self.clump = clump
    self.app = Endpoint(IPAddress(ipv4: 0x7F00_0001), 20_000 + app)
    start = world.now
    mark = world.now
    world.middlebox = { [weak self] packet, direction in
      if direction == .toServer, packet.payloadLength >= size {
        self?.carried[packet.destination.port, default: 0] += packet.payloadLength
        if packet.isUDP { self?.carriedByUDP += packet.payloadLength }
      }
      return packet
    }
  }

  /// Sends for `duration`, a clump at a time.
  func run(for duration: Duration) {
    let pause = Duration.nanoseconds(clump * size * 8 * 1_000_000_000 / rate)
    let end = world.now + duration
    while world.now < end {
      for start in stride(from: 0, to: clump, by: 50) {
        let count = min(50, clump - start)
        world.client.send((0..<count).map { _ in next() }, from: app, at: world.now)
      }
      world.collect()
      world.run(for: pause)
      settle()
    }
  }

  private func next() -> [UInt8] {
    var bytes = [UInt8](repeating: 0x5A, count: size)
    for place in 0..<4 {
      bytes[place] = UInt8(truncatingIfNeeded: sentAt.count >> (24 - 8 * place))
    }
    sentAt.append(world.now)
    isThere.append(false)
    return bytes
  }

  private func settle() {
    for arrival in world.server.takeArrivals() {
      (arrival.payload.count == size ? self : other)?.take(arrival)
    }
  }

  private func take(_ arrival: Arrival) {
    let number = arrival.payload[..<4].reduce(0) { $0 << 8 | Int($1) }
    if isThere[number] { repeated += 1 }
    isThere[number] = true
    if number < highest { reordered += 1 }
    highest = max(highest, number)
    if sentAt[number] >= mark { longestDelay = max(longestDelay, arrival.time - sentAt[number]) }
  }

  /// Waits for what is under way.
  func finish() {
    world.run(for: .milliseconds(200))
    settle()
  }

  /// Measures the longest delay anew from here.
  func resetDelay() {
    longestDelay = .zero
    mark = world.now
  }

  /// The part that was lost of what was sent in these seconds since the start.
  func loss(_ from: Double, _ to: Double) -> Double {
    var (sent, lost) = (0, 0)
    for (number, time) in sentAt.enumerated() {
      let second = Double((time - start).wholeNanoseconds) / 1e9
      guard second >= from, second < to else { continue }
      sent += 1
      if !isThere[number] { lost += 1 }
    }
    return sent == 0 ? 0 : Double(lost) / Double(sent)
  }

  /// The port that carried most.
  var busiest: UInt16 { carried.max { $0.value < $1.value }?.key ?? 0 }

  /// How many ports carried datagrams.
  var portCount: Int { carried.count }
}
