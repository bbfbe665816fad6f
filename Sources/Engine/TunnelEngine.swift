// The tunnel as a state machine without input or output: packets and time go in, packets and
// events come out. It holds no file descriptor, reads no clock and draws no random number.
//
//   app ──datagrams──► encapsulate ──segments──► wire
//   app ◄──datagrams── decapsulate ◄──packets─── wire
//                      advance(to: now) when `nextDeadline` has come
//                      nextEvent() until nil after each of these
//
// The verbs are spread over the files by what they do: TunnelEngine+Send, TunnelEngine+Receive,
// TunnelEngine+Control, TunnelEngine+Timers; Client and Server hold what differs between the two roles.

public import Crypto
public import Wire

/// What an engine is to do.
public struct EngineConfiguration: Sendable {
  /// Which end of the tunnel the engine is.
  public enum Role: Sendable {
    /// Opens channels to the server's ports, at most `maxChannels` of a carrier, and creates flows.
    case client(server: IPAddress, ports: PortSet, maxChannels: Int)
    /// Answers on these ports.
    case server(ports: PortSet)
  }

  /// Which end of the tunnel the engine is.
  public var role: Role
  /// What channels look like, at least one way.
  public var carriers: [Carrier] = [.tcp]
  /// How long a flow lives without a datagram either way, and a session without a channel.
  public var idleTimeout = Duration.seconds(600)
  /// The longest time between two signs of life on an idle client's first channel.
  public var keepalive = Duration.seconds(25)
  /// A client has one key at most, a server any number. Without a key nothing is authentic or secret.
  public var keys: [NamedKey] = []
  /// What data is sealed with, where there is a key.
  public var cipher = CipherPreference.auto
  /// Whether the server's ports are nobody else's on its host. Where they may be, a connection that it does
  /// not know may be another program's, and is not reset.
  public var ownsPorts = true
  /// Whether a server has another service to show to connections that do not authenticate.
  public var hasDecoy = false
  /// How many channels of each carrier a client opens to each port.
  public var channelsPerPort = 1
  /// When a client opens another channel in the place of one that lives.
  public var rotation = Rotation()
  /// How a client wants datagrams to be spread over the channels, both ways. A server does what its
  /// clients want.
  public var schedule = Schedule.adaptive
  /// What peers and apps can make the engine hold.
  public var limits = EngineLimits()
  /// Whether this processor has instructions for AES.
  var hasFastAES = CipherSuite.hasFastAES
  /// The version that its Hellos have; another one in tests.
  var version = Hello.currentVersion
  /// For tests: the client's initial sequence number.
  public var initialSequence: UInt32?

  /// A configuration with the usual values.
  public init(role: Role) { self.role = role }
}

/// Random numbers drawn by the driver when the engine is made.
public struct Entropy: Sendable {
  /// The secret of cookies and initial sequence numbers.
  public var secret: SipHashKey
  /// What ephemeral keys are made from.
  public var keySeed: SecretKey
  /// A client's session.
  public var session: SessionID
  /// The seed of choices that need no secrecy.
  public var seed: UInt64

  /// Entropy from its parts.
  public init(secret: SipHashKey, keySeed: SecretKey, session: SessionID, seed: UInt64) {
    self.secret = secret
    self.keySeed = keySeed
    self.session = session
    self.seed = seed
  }
}

/// What the driver has to know or do.
public enum Event: Hashable, Sendable {
  /// Client: find a way for a channel to `remote`, and a local port where the carrier has ports, then
  /// call `dial` or `dialFailed` with the slot.
  case dial(slot: Int, Carrier, remote: Endpoint)
  /// Server: a channel came up; tell its path by `setPath`.
  case channelOpened(channel: Int, FourTuple)
  /// The channel is gone; its index will be used again.
  case channelClosed(channel: Int, FourTuple)
  /// Server: the client of a channel on UDP or ICMP has come to be at another address.
  case channelMoved(channel: Int, FourTuple)
  /// The flow is gone; its index will be used again.
  case flowClosed(flow: Int)
  /// The session has a live channel, for the first time or again. On a server with keys, `keyName` is
  /// that of the client's.
  case connected(SessionID, keyName: String?)
  /// No channel of the session is heard any more.
  case disconnected(SessionID, keyName: String?)
  /// Client: the server answered at this address, for the first time or where it was not before.
  case serverAnswered(IPAddress)
  /// Client: nothing has answered for some seconds since the start; told once.
  case unanswered
  /// Server: the session ended.
  case sessionEnded(SessionID, keyName: String?)
  /// Server: a connection is to be shown the decoy; call `welcome` or `turnAway`, and `forget` when it
  /// ended.
  case stranger(Stranger)
  /// So large datagrams travel whole on every channel of the session, in bytes; the first time, and
  /// where it is another number than before. On a server with keys, `keyName` is that of the client's.
  case largestDatagram(SessionID, keyName: String?, byteCount: Int)
  /// Something on the way ends the session's TCP connections to this port of the server's, and so loses
  /// datagrams; told once. `hasOthers`: the session has other carriers than fake TCP. On a server with keys,
  /// `keyName` is that of the client's.
  case proxied(SessionID, keyName: String?, port: UInt16, hasOthers: Bool)
  /// Client: what is sent is lost on all channels alike, so there are to be this many of each carrier.
  case moreChannels(count: Int)
  /// The other side speaks another version of the protocol; told once.
  case versionMismatch(remote: Endpoint, version: UInt8)
  /// The other side takes no cipher that this one takes; told once.
  case cipherMismatch(remote: Endpoint)
}

/// One end of the tunnel.
public struct TunnelEngine: ~Copyable {
  let configuration: EngineConfiguration
  let secret: SipHashKey
  var random: SplitMix64
  var keyStream: KeyStream
  /// What our Hellos say of sealed frames; nothing without a key.
  let cipherFlags: HelloFlags
  /// Whether frames are sealed: the same on all channels, since `none` has to be said at both ends.
  let sealsFrames: Bool
  /// Whether there may be channels on ICMP.
  let takesEchoes: Bool
  var limits: EngineLimits
  /// The system's clock less `now`, in milliseconds since 1970.
  private var clockOffset: Int64 = 0

  var channels = Slab<Channel>()
  /// Channels of fake TCP; on a server those that were confirmed.
  var byTuple: [FourTuple: Int] = [:]
  /// The other channels, by the number that their segments have.
  var byNumber: [UInt32: Int] = [:]
  var sessions = Slab<Session>()
  var flows = FlowTable()
  var timers = TimerQueue()
  var reassembly: Reassembly
  /// How many sessions have a pace.
  var pacedCount = 0
  var events: [Event] = []
  private var eventsTaken = 0

  let startedAt: Instant

  // Client only.
  var dialer: Dialer?
  /// How many of the server's addresses have not had their first turn.
  var rivalsDue = 0
  var clientKeys: HandshakeKeys?
  /// The server's clock less ours, in milliseconds, once a server has told.
  var serverClockOffset: Int64 = 0
  /// Whether first messages say that the time is not known, because those that did not were not
  /// answered.
  var doubtsClock = false
  var hasToldUnanswered = false
  var held: HoldQueue
  var flowIDs = FlowIDPool()
  // Server only.
  var interfacePaths: [IPAddress: Path] = [:]
  var listener: Listener?
  /// Channels that their clients have not confirmed.
  var unconfirmed: [Place: Int] = [:]
  var bySession: [SessionID: Int] = [:]
  /// What the sessions of each key hold.
  var keyUse: [String: KeyUse] = [:]

  /// What happened so far.
  public internal(set) var counters = Counters()
  var hasToldVersion = false
  var hasToldCipher = false
  var isClosing = false

  /// An engine. A client dials at once: see `nextEvent()`.
  public init(_ configuration: EngineConfiguration, entropy: Entropy, at now: Instant) {
    var kept = configuration
    // Those of the listener, or the client's, are the only ones: they may be replaced.
    kept.keys = []
    self.configuration = kept
    limits = configuration.limits
    reassembly = Reassembly(limit: limits.reassemblies)
    held = HoldQueue(byteLimit: limits.queuedBytes)
    secret = entropy.secret
    keyStream = KeyStream(seed: entropy.keySeed)
    let hasKey = !configuration.keys.isEmpty
    cipherFlags = hasKey ? configuration.cipher.flags(hasFastAES: configuration.hasFastAES) : []
    sealsFrames = hasKey && configuration.cipher != .none
    takesEchoes = configuration.carriers.contains(.icmp)
    startedAt = now
    random = SplitMix64(seed: entropy.seed)
    switch configuration.role {
    case .client(let server, let ports, let maxChannels):
      dialer = Dialer(
        server: server, ports: ports, carriers: configuration.carriers,
        channelsPerPort: configuration.channelsPerPort, limit: maxChannels, random: &random)
      clientKeys = (configuration.keys.first?.key).map(HandshakeKeys.init)
      _ = sessions.insert(
        Session(id: entropy.session, schedule: configuration.schedule, at: now))
      dialMissing(at: now)
      scheduleDialer(at: now)
    case .server(let ports):
      listener = Listener(
        ports: ports, keys: configuration.keys, hasDecoy: configuration.hasDecoy, limits: limits,
        secret: entropy.secret)
    }
  }

  /// What a frame has beside its payload, in bytes.
  var frameOverhead: Int { sealsFrames ? SealedFrame.overhead : FrameHeader.byteCount }

  /// What a segment with a datagram has beside it, in bytes.
  func datagramOverhead(of session: Int) -> Int {
    let isNumbered =
      session != Channel.noSession && sessions[session].scheduler.schedule == .redundant
    return frameOverhead + (isNumbered ? CopyHeader.byteCount : 0)
  }

  /// Tells the time on the wall: milliseconds since 1970 at `now`. To be told at the start, and again
  /// now and then, since somebody may set the clock.
  public mutating func setClock(_ milliseconds: UInt64, at now: Instant) {
    clockOffset = Int64(clamping: milliseconds) &- now.nanoseconds / 1_000_000
  }

  /// The system's time in milliseconds since 1970.
  func clock(at now: Instant) -> UInt64 {
    UInt64(clamping: clockOffset &+ now.nanoseconds / 1_000_000)
  }

  /// When `advance` has to be called at the latest.
  public var nextDeadline: Instant { timers.next }

  /// The next thing for the driver to do; call until nil after every other verb.
  public mutating func nextEvent() -> Event? {
    guard eventsTaken < events.count else {
      events.removeAll(keepingCapacity: true)
      eventsTaken = 0
      return nil
    }
    defer { eventsTaken += 1 }
    // From here on the driver knows that the index is free.
    switch events[eventsTaken] {
    case .channelClosed(let channel, _): channels.recycle(channel)
    case .flowClosed(let flow): flows.recycle(flow)
    default: break
    }
    return events[eventsTaken]
  }

  /// Tells what the way of a channel can carry, when it opened and when that changed.
  public mutating func setPath(_ path: Path, channel: Int, at now: Instant) {
    guard channels.contains(channel) else { return }
    channels[channel].path = path
    guard channels[channel].state == .open else { return }
    channels[channel].sizing.setCeiling(channels[channel].packetCeiling, at: now)
    sizeChanged(channel, at: now)
  }

  /// What a channel looks like; nil where it is gone.
  public func carrier(channel: Int) -> Carrier? {
    channels.contains(channel) ? channels[channel].kind : nil
  }

  /// All channels with their four-tuples: what the driver finds ways for anew when the network
  /// changed.
  public var channelTuples: [(channel: Int, tuple: FourTuple)] {
    channels.indices.map { ($0, channels[$0].tuple) }
  }

  /// Server: tells the MTU of the interface that holds each local address, in bytes. It bounds the
  /// MSS of the SYN-ACK, and holds until `setPath` knows more.
  public mutating func setInterfaceMTUs(_ mtus: [IPAddress: Int]) {
    interfacePaths = mtus.mapValues { Path(mtu: $0, carriesRuns: false) }
  }

  /// Closes all channels: a close frame goes out on each. The driver goes on with the loop until
  /// `isClosed`, or as long as it wants to wait.
  public mutating func close(at now: Instant, into segments: inout SegmentBatch) {
    isClosing = true
    for index in Array(channels.indices) { closeChannel(index, at: now, into: &segments) }
  }

  /// Whether every channel's close was answered.
  public var isClosed: Bool {
    isClosing && !channels.indices.contains { channels[$0].state != .lingering }
  }
}
