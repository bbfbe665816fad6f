// When a channel has done its part, so that another one takes its place before a network ends it.
//
//   0 ── carries ── limit - lead: replacement dialled ── limit: spent ── closed, once the replacement is open

internal import Wire

/// How long, and how much, one channel of a client carries.
public struct Rotation: Hashable, Sendable {
  /// How long it is open; nil where that does not matter.
  public var age: Duration?
  /// How many bytes of IP packets pass, both ways together; nil where that does not matter.
  public var bytes: UInt64?

  /// A rotation from its bounds; without any, channels are kept as long as they live.
  public init(age: Duration? = nil, bytes: UInt64? = nil) {
    self.age = age
    self.bytes = bytes
  }

  /// What channels get where nothing else is said.
  public static let usual = Rotation(age: .seconds(6 * 3600), bytes: 8 << 30)

  /// The budget of the next channel: another one each time, and an eighth less than what was configured at
  /// most, since neither end can count what the other one has under way.
  func budget(_ random: inout SplitMix64) -> ByteBudget {
    guard let bytes else { return .none }
    return ByteBudget(atMost: bytes / 8 * 5 + UInt64(random.below(Int(bytes / 4))))
  }

  /// The age of the next channel, likewise.
  func age(_ random: inout SplitMix64) -> Duration? { age.map { random.jittered($0 * 7 / 8) } }
}

extension ByteBudget {
  /// Whether there is enough for probes of the size of packets, which take 3 kB of a channel where its path
  /// carries what its ends do, and 70 kB where it drops large packets.
  var affordsProbes: Bool { bytes.map { $0 >= 512 << 10 } ?? true }
}

/// What is left of a channel's budget.
struct Allowance: Sendable {
  /// So many bytes before its end a client dials the channel's replacement, or at half of the budget.
  private static let lead: UInt64 = 4 << 20
  /// What the handshake took, or a little more, in bytes.
  private static let handshake: UInt64 = 1024

  let budget: ByteBudget
  /// When so much has been carried, the channel is spent.
  private let limit: UInt64
  /// The largest packet, in bytes: one more is within the budget until the channel is spent.
  private let mtu: Int
  /// When so much has been carried, there is something to do.
  private(set) var mark: UInt64
  /// Whether the channel is to carry datagrams only where there is no other.
  private(set) var isSpent = false

  /// All of the budget of a channel whose ends' interfaces carry packets of `mtu` bytes. Where these are large
  /// it may be exceeded, for half of it is to be used at least.
  init(_ budget: ByteBudget, mtu: Int, isClient: Bool) {
    self.budget = budget
    let mtu = budget.affordsProbes ? mtu : min(mtu, SegmentSize.base)
    self.mtu = mtu
    let total = budget.bytes.map { $0 - min($0, Self.handshake) } ?? .max
    limit = total == .max ? .max : total - min(total / 2, UInt64(mtu))
    mark = limit == .max || !isClient ? limit : limit - min(limit / 2, Self.lead)
  }

  /// How much more may be sent, in bytes.
  @inline(__always)
  func room(carried: UInt64) -> Int {
    isSpent ? .max : Int(truncatingIfNeeded: min(limit &- min(limit, carried), 1 << 32)) &+ mtu
  }

  /// Notes that the mark has been reached. True where the channel is spent now.
  mutating func pass(carried: UInt64) -> Bool {
    isSpent = carried >= limit
    mark = isSpent ? .max : limit
    return isSpent
  }
}

extension Channel {
  /// The bytes of its packets so far, both ways together, or a little more: 64 of headers are those of the
  /// largest.
  @inline(__always) var carried: UInt64 {
    sent.bytes &+ received.bytes &+ (sent.segments &+ received.segments) &* 64
  }
}

extension TunnelEngine {
  /// The channel has carried so much that there is something to do.
  mutating func passMark(_ index: Int, at now: Instant) {
    guard channels[index].state == .open else { return }
    let carried = channels[index].carried
    if channels[index].allowance.pass(carried: carried) { markStale(channels[index].session) }
    if dialer != nil { rotate(index, at: now) }
  }

  /// Dials the channel's replacement, to another port where there are more of them, and at once where the
  /// last dial was answered.
  mutating func rotate(_ index: Int, at now: Instant) {
    let slot = channels[index].slot
    guard let state = dialer?.slots[slot], state.channel == index else { return }
    if state.failures == 0 { dialer?.slots[slot].lastDial = nil }
    if state.pending == 0 { dialer?.redraw(slot, random: &random) }
    replace(index, at: now)
  }
}
