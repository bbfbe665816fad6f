// One disguised connection of a session.

internal import Crypto
internal import Wire

/// What the way to a peer can carry, as the driver finds out.
public struct Path: Hashable, Sendable {
  /// The largest IP packet in bytes.
  public var mtu: Int
  /// Whether a run of segments may be sent at once, for the kernel or the card to cut.
  public var carriesRuns: Bool

  /// A path from its properties.
  public init(mtu: Int, carriesRuns: Bool) {
    self.mtu = mtu
    self.carriesRuns = carriesRuns
  }

  /// The room of one packet behind so many bytes of headers, in bytes.
  func segmentSize(behind headerByteCount: Int) -> Int {
    max(0, min(mtu, 65_535) - headerByteCount)
  }

  /// The largest TCP payload of one segment without options, in bytes.
  func tcpSegmentSize(isIPv4: Bool) -> Int {
    segmentSize(behind: Carrier.tcp.headerByteCount(isIPv4: isIPv4))
  }
}

/// The session that a client's Hello names.
struct SessionClaim {
  let id: SessionID
  /// The name of the key that the Hello was made with; nil without a key.
  let keyName: String?
  /// How the client wants datagrams to be spread.
  let schedule: Schedule
}

/// One disguised connection: a four-tuple, its carrier's state, its liveness and its timers.
struct Channel: ~Copyable {
  /// The `session` of a channel that has none yet.
  static let noSession = -1

  enum State: Sendable {
    /// Client: the SYN, or a knock, is out.
    case synSent
    /// Client: the SYN-ACK, or a token, came; the Hello is out.
    case helloSent
    /// Server: the Hello was answered. Nothing else is sent, and the channel is none of its session's,
    /// before a frame of the client's was valid: a Hello may be a repeated one.
    case unconfirmed
    /// Frames flow.
    case open
    /// Our close frame is out, the peer's has not come.
    case closing
    /// Both sides have closed; late frames are still taken for a moment.
    case lingering
  }

  /// Which carrier it is.
  let kind: Carrier
  /// On a server, a channel that is found by its number may move.
  var tuple: FourTuple
  /// The channel's name within the session, the same at both ends.
  let id: UInt32
  /// The index of its session; `noSession` while it is unconfirmed.
  var session: Int
  /// Server: whose it will be once it is confirmed.
  let claim: SessionClaim?
  /// Client: which of the dialer's slots it belongs to.
  let slot: Int
  var state: State
  /// Its connection, as `CarrierState` has it. The parts lie apart because every segment changes one, and
  /// the payload of an enumeration is copied for each change.
  var tcp: TCPConnection?
  var numbered: NumberedConnection?
  var echo: EchoConnection?
  /// What all packets of ours on the channel have in common on IPv6 (RFC 6437); 0 on IPv4.
  let flowLabel: UInt32
  /// The bytes of headers in front of a segment's frames.
  let headerByteCount: Int
  var liveness: Liveness
  var path: Path
  /// What the peer can receive, in bytes of frames: the least of MSS and Hello.
  var peerSegmentSize: Int
  /// What the way between carries.
  var sizing: SegmentSize

  /// Our first message, which is repeated byte for byte until the peer was heard; then empty.
  var firstMessage: [UInt8] = []
  /// Client: whether our first message says that the time is not known.
  var doubtsClock = false
  /// Client: the key exchange that the first message began.
  var exchange: NoiseHandshake?
  /// What seals the frames; nil where they are plain.
  var cipher: FrameCipher?
  /// Client: what an RST carries that is the server's own.
  var resetToken: ResetToken?
  /// How often the segment of this state was sent, and when it is to be sent again.
  var attempts = 0
  var retryAt = Instant.distantFuture
  /// Whether this side closed first.
  var isCloser = false

  /// What is left of what it may carry.
  var allowance: Allowance
  /// Client: when another one is to take its place.
  var rotateAt = Instant.distantFuture
  /// What was sent, and what the peer says of it.
  var delivery = Delivery()
  /// What the scheduler thinks of it.
  var standing = Standing()
  /// What arrived, and what the peer is to be told of it.
  var reception = Reception()
  var incoming = NumberWindow()
  /// Whether something on the way ends its TCP connection: what was seen of that, and who is sure of it.
  var proxySigns = ProxySigns()
  var proxyFinder = ProxyFinder.nobody
  private var nextPlainNumber: UInt64 = 0
  /// When what was received is to be acknowledged at the latest.
  var acknowledgmentDue: Instant?
  /// Since when the window has had no room for a datagram that was there.
  var fullSince: Instant?
  /// Whether a probe of the packet at hand was answered.
  var hasAnswered = false
  /// Client: when an idle channel is probed next.
  var keepaliveAt = Instant.distantFuture
  /// Whether an RST or FIN came while the channel was being opened.
  var hasEarlyWarning = false
  /// When the peer was last told, or a replacement last dialled, because of an RST or FIN.
  var lastWarning: Instant?
  /// When it opened; nil before.
  private(set) var openedAt: Instant?
  /// What passed since then.
  var sent = ChannelTraffic()
  var received = ChannelTraffic()

  init(
    tuple: FourTuple, id: UInt32, session: Int, claim: SessionClaim? = nil, slot: Int, state: State,
    carrier: CarrierState, flowLabel: UInt32, path: Path, peerSegmentSize: Int,
    allowance: Allowance, at now: Instant
  ) {
    self.tuple = tuple
    self.id = id
    self.session = session
    self.claim = claim
    self.slot = slot
    self.state = state
    kind = carrier.kind
    switch carrier {
    case .tcp(let connection): tcp = connection
    case .udp(let connection): numbered = connection
    case .icmp(let connection, let echo):
      numbered = connection
      self.echo = echo
    }
    self.flowLabel = flowLabel
    self.path = path
    self.peerSegmentSize = peerSegmentSize
    self.allowance = allowance
    headerByteCount = carrier.kind.headerByteCount(isIPv4: tuple.isIPv4)
    sizing = SegmentSize(ceiling: path.mtu, floor: SegmentSize.base, at: now)
    liveness = Liveness(at: now)
  }

  /// The handshake is over: frames flow, and are counted. What was sent before was the handshake's.
  mutating func open(at now: Instant) {
    state = .open
    firstMessage = []
    openedAt = now
    sent = ChannelTraffic()
    sizing = SegmentSize(ceiling: packetCeiling, floor: packetFloor, at: now)
  }

  /// Whether it is a dial whose server has not answered with its Hello.
  var isDialling: Bool { state == .synSent || state == .helloSent }

  /// Whether something on the way ends its TCP connection.
  var isProxied: Bool { proxyFinder != .nobody }

  /// The most bytes of frames in a segment.
  var segmentSize: Int { max(0, sizing.size &- headerByteCount) }

  /// The largest packet that both ends and the budget allow, in bytes.
  var packetCeiling: Int {
    let room = tcp == nil ? UDPSegment.runRoom : .max
    let segment = min(peerSegmentSize, cipher == nil ? room : min(room, SealedFrame.segmentLimit))
    let limit = allowance.budget.affordsProbes ? 65_535 : SegmentSize.base
    return min(path.mtu, limit, segment &+ headerByteCount)
  }

  /// No path carries less, whatever a router says: 552 bytes on IPv4, as kernels have it (`min_pmtu` of
  /// ip(7)), and the least MTU of IPv6 (RFC 8201, section 4). Where there are no probes nothing would find
  /// out what it is.
  private var packetFloor: Int {
    tuple.isIPv4 && allowance.budget.affordsProbes ? 552 : SegmentSize.base
  }

  /// The most segments in one run.
  var runLimit: Int { path.carriesRuns && kind.hasRuns ? SegmentBatch.runLimit : 1 }

  /// The number of the next frame; of a plain one the low 24 bits are on the wire.
  var nextNumber: UInt64 {
    switch cipher {
    case .some(let cipher): cipher.nextNumber
    case .none: nextPlainNumber
    }
  }

  /// The low bits of the highest number that arrived.
  var highestReceived: UInt32 {
    switch cipher {
    case .some(let cipher): cipher.highestReceived
    case .none: incoming.highest
    }
  }

  @inline(__always)
  mutating func nextFrame(_ type: FrameType, length: Int, flow: UInt16 = 0) -> FrameHeader {
    defer { nextPlainNumber &+= 1 }
    return FrameHeader(
      type: type, length: UInt16(truncatingIfNeeded: length), flow: flow,
      number: UInt32(truncatingIfNeeded: nextPlainNumber))
  }
}
