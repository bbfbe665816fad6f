// Which channels a client wants, and when it dials. Pure bookkeeping; Client.swift acts on it.

internal import Wire

/// A client's plan: one slot for each channel that it wants.
struct Dialer {
  /// How long after the app's last datagram the client dials every second.
  static let activeFor = Duration.seconds(30)
  /// The longest pause between dials of a client whose app is silent.
  static let longestPause = Duration.seconds(10)

  struct Slot: Sendable {
    var port: UInt16
    /// The channel that is open, or was.
    var channel: Int?
    /// Whether the channel is to be replaced, although it may still live.
    var isSuspect = false
    /// Dials under way.
    var pending = 0
    var lastDial: Instant?
  }

  let server: IPAddress
  let ports: PortSet
  var slots: [Slot] = []
  /// Whether the app has been silent so long that one channel is enough.
  var isParked = false
  var pause = Duration.seconds(1)
  private var nextSlot = 0

  /// A plan with one channel to each port; of more than `limit` ports as many are drawn.
  init(server: IPAddress, ports: PortSet, limit: Int, random: inout SplitMix64) {
    self.server = server
    self.ports = ports
    var all = (0..<ports.count).map { ports[$0] }
    if all.count > limit { all.shuffle(using: &random) }
    slots = all.prefix(limit).map { Slot(port: $0) }
  }

  /// Whether any slot wants a channel.
  var isMissing: Bool { slots.contains { wantsChannel($0) } }

  func wantsChannel(_ slot: Slot) -> Bool { slot.isSuspect || slot.channel == nil && !isParked }

  /// The channel that keeps the NAT's mapping fresh while all are idle.
  var firstChannel: Int? { slots.first { $0.channel != nil }?.channel }

  /// The next slot in turn for an attempt during an outage.
  mutating func takeTurn() -> Int {
    defer { nextSlot = (nextSlot + 1) % slots.count }
    return nextSlot % slots.count
  }

  /// Draws another port for a slot whose channel died, where there are more ports than slots.
  mutating func redraw(_ slot: Int, random: inout SplitMix64) {
    guard ports.count > slots.count else { return }
    let port = ports[random.below(ports.count)]
    if !slots.contains(where: { $0.port == port }) { slots[slot].port = port }
  }
}
