// Which channels a client wants, and when it dials. Pure bookkeeping; Client.swift acts on it.

internal import Wire

/// A client's plan: one slot for each channel that it wants.
struct Dialer {
  /// How long after the app's last datagram the client dials every second.
  static let activeFor = Duration.seconds(30)
  /// The longest pause between dials of a client whose app is silent.
  static let longestPause = Duration.seconds(10)

  struct Slot: Sendable {
    let carrier: Carrier
    /// The server's; 0 where the carrier has none.
    var port: UInt16
    /// The channel that is open, or was.
    var channel: Int?
    /// Whether the channel is to be replaced, although it may still live.
    var isSuspect = false
    /// Dials under way.
    var pending = 0
    var lastDial: Instant?
    /// Dials in a row that were not answered.
    var failures = 0

    /// Whether its first channel is being dialled.
    var isNew: Bool { channel == nil && pending > 0 && failures == 0 }

    /// How long after a dial the next one is made while other slots have channels: longer and longer, for
    /// the port, or the carrier, may be blocked for good.
    var pause: Duration {
      failures < 2 ? shortestPause : .seconds(1 << min(failures, 6))
    }
  }

  /// Just under a second, since the ticks are a second apart.
  static let shortestPause = Duration.milliseconds(950)

  /// The network is another: what was blocked may be open.
  mutating func forgetFailures() {
    for slot in slots.indices { slots[slot].failures = 0 }
  }

  /// Where channels are dialled.
  private(set) var server: IPAddress
  /// The server's other addresses, in the order in which they are tried where that one does not answer.
  private var rivals: [IPAddress] = []
  /// Whether the server has answered there since it is the one to dial.
  private(set) var isServerHeard = false
  let ports: PortSet
  let carriers: [Carrier]
  var slots: [Slot] = []
  /// Whether nothing has passed for so long that channels are not kept as fresh as they could be.
  var isResting = false
  /// Whether the app has been silent so long that one channel of each carrier is enough.
  var isParked = false
  var pause = Duration.seconds(1)
  private var nextSlot = 0
  /// What the last channel without a port of its own has in its place.
  var lastIdentifier: UInt16?
  /// What the channels that have ports had of late.
  var latestPorts = LatestPorts()
  /// The most channels of a carrier.
  private let limit: Int
  private var grownAt: Instant?

  /// A plan with so many channels of each carrier to each port, and at most `limit` of each carrier:
  /// which ones have fewer then is drawn. A carrier without ports gets as many channels as the others.
  init(
    server: IPAddress, ports: PortSet, carriers: [Carrier] = [.tcp], channelsPerPort: Int = 1,
    limit: Int, random: inout SplitMix64
  ) {
    self.server = server
    self.ports = ports
    self.carriers = carriers
    self.limit = limit
    var all = (0..<ports.count).map { ports[$0] }
    let wanted = all.count * channelsPerPort
    if wanted > limit { all.shuffle(using: &random) }
    for place in 0..<min(wanted, limit) { addSlots(to: all[place % all.count]) }
  }

  /// One channel more of each carrier. Carriers take turns, and so do ports, for during an outage the slots are
  /// dialled in this order.
  private mutating func addSlots(to port: UInt16) {
    slots += carriers.map { Slot(carrier: $0, port: $0.hasPorts ? port : 0) }
  }

  /// Plans twice as many channels, or as many as there may be: of each carrier so many as it gives, nil where it
  /// changes nothing. That is so too while new ones are dialled and for a second after the last time, since what asks for
  /// it has not seen those yet.
  mutating func grow(at now: Instant) -> Int? {
    let count = slots.count / carriers.count
    if let grownAt, now - grownAt < .seconds(1) { return nil }
    guard count < limit, !slots.contains(where: \.isNew) else { return nil }
    grownAt = now
    // Of more ports than these as many channels are planned as there may be.
    for place in count..<min(2 * count, limit) { addSlots(to: ports[place % ports.count]) }
    return slots.count / carriers.count
  }

  /// Whether any slot wants a channel.
  var isMissing: Bool { slots.contains { wantsChannel($0) } }

  func wantsChannel(_ slot: Slot) -> Bool { slot.isSuspect || slot.channel == nil && !isParked }

  /// The carrier's channel that is kept when all are idle.
  func firstChannel(_ carrier: Carrier) -> Int? {
    slots.first { $0.carrier == carrier && $0.channel != nil }?.channel
  }

  /// The channel that is heard often while all are idle, so that the server can reach the client: of a carrier
  /// whose mappings NATs forget soon, where there is one.
  var warmChannel: Int? {
    var warm: Slot?
    for slot in slots where slot.channel != nil {
      if warm.map({ slot.carrier.natMemory < $0.carrier.natMemory }) ?? true { warm = slot }
    }
    return warm?.channel
  }

  /// The next slots in turn for an attempt during an outage: one of each carrier, since one may be
  /// blocked.
  mutating func takeTurn() -> Range<Int> {
    let first = nextSlot % slots.count
    nextSlot = (first + carriers.count) % slots.count
    return first..<first + carriers.count
  }

  /// Takes over where the server is. False where it is still to be dialled where it was.
  mutating func setServers(_ addresses: [IPAddress]) -> Bool {
    guard let first = addresses.first else { return false }
    let isKept = addresses.contains(server)
    if !isKept {
      server = first
      isServerHeard = false
    }
    rivals = addresses.filter { $0 != server }
    return !isKept
  }

  /// The address that is next to be tried beside the first one; nil where there is one only.
  mutating func takeRival() -> IPAddress? {
    guard let rival = rivals.first else { return nil }
    rivals = rivals.dropFirst() + [rival]
    return rival
  }

  /// The server answered there. True where that is news: all dials go there from now on.
  mutating func serverAnswered(at address: IPAddress) -> Bool {
    guard !isServerHeard || address != server else { return false }
    if address != server { rivals = [server] + rivals.filter { $0 != address } }
    server = address
    isServerHeard = true
    return true
  }

  /// Draws another port for a slot whose channel died or was not answered, where there are more ports than slots.
  mutating func redraw(_ slot: Int, random: inout SplitMix64) {
    let carrier = slots[slot].carrier
    guard carrier.hasPorts, ports.count > slots.count / carriers.count else { return }
    let port = ports[random.below(ports.count)]
    if !slots.contains(where: { $0.carrier == carrier && $0.port == port }) {
      slots[slot].port = port
    }
  }
}
