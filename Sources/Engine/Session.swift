// The pair client-server. It owns channels and flows and outlives each of them.

internal import Wire

/// One session. A client has exactly one, a server one a client.
struct Session: ~Copyable {
  let id: SessionID
  /// Server: the name of the key that it belongs to; nil without a key.
  let keyName: String?
  let startedAt: Instant
  /// All channels, in any state.
  var channels: [Int] = []
  /// The open channels that may carry datagrams now: all that share the best health.
  var candidates: [Int] = []
  /// The health of the candidates; `silent` where there are none.
  var health = Health.silent
  /// Whether `candidates` is out of date.
  var isStale = false
  /// Channels by id that an RST or FIN has hit, to be named to the peer on a healthy channel.
  var suspects: [UInt32] = []
  /// Where TCP connections are ended on the way, and whether that was told.
  var proxiedPorts = ProxiedPorts()
  var hasToldProxy = false
  var flowCount = 0
  var scheduler: Scheduler
  /// What waits since the session is paced; nil where nothing does.
  var waiting: PacedQueue?
  /// The number of the next datagram that is cut, or sent on two channels. A server draws the first one:
  /// what it sends after a restart must not look like what it sent before.
  var nextNumber: UInt32
  /// Which datagrams of those that the peer has given numbers were delivered.
  var delivered = DeliveryWindow()
  /// The largest datagram that travels whole, as it was last told, in bytes.
  var toldLargest: Int?
  /// Whether a channel of it was ever open.
  var wasConnected = false
  /// When an app last sent a datagram.
  var lastSent: Instant
  /// When a datagram last passed, either way.
  var lastActive: Instant
  /// Server: when the session ends, once it has no channel.
  var endsAt = Instant.distantFuture

  init(
    id: SessionID, keyName: String? = nil, schedule: Schedule, firstNumber: UInt64 = 0,
    at now: Instant
  ) {
    self.id = id
    self.keyName = keyName
    nextNumber = UInt32(truncatingIfNeeded: firstNumber) & FragmentHeader.datagramMask
    scheduler = Scheduler(schedule, at: now)
    startedAt = now
    lastSent = now
    lastActive = now
  }
}
