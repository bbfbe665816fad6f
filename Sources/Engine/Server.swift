// What only a server does: answer SYNs from a cookie, accept channels, create sessions and flows.

internal import Wire

/// What a server needs to answer strangers without remembering them, and to know its clients.
struct Listener {
  let ports: PortSet
  let cookie: SYNCookie
  let token: AddressToken
  /// SYN-ACKs to one network: room for many clients behind one NAT that reconnect at once.
  var synLimiter: RateLimiter
  /// RSTs to one network.
  var resetLimiter: RateLimiter
  /// Handshakes of all, and of one network.
  var handshakes: RateLimiter
  var networkHandshakes: RateLimiter
  /// Without keys anyone is a client.
  var keys: KeyRing
  var replays = ReplayCache()
  /// Nil without a decoy.
  var strangers: Strangers?

  init(
    ports: PortSet, keys: [NamedKey], hasDecoy: Bool, limits: EngineLimits, secret: SipHashKey
  ) {
    self.ports = ports
    self.keys = KeyRing(keys)
    if hasDecoy { strangers = Strangers(limit: limits.strangers, secret: secret) }
    cookie = SYNCookie(key: secret)
    token = AddressToken(key: secret)
    synLimiter = RateLimiter(perSecond: 200, burst: 400, key: secret)
    resetLimiter = RateLimiter(perSecond: 20, burst: 40, key: secret)
    let rate = Int64(limits.handshakesPerSecond)
    handshakes = RateLimiter(perSecond: rate, burst: rate, key: secret)
    networkHandshakes = RateLimiter(
      perSecond: max(1, rate / 16), burst: max(1, rate / 4), key: secret)
  }

  /// Takes other keys. A function, because an assignment through the engine's optional never releases
  /// the old value (Swift 6.3, optimized).
  mutating func setKeys(_ keys: [NamedKey]) { self.keys = KeyRing(keys) }
}

/// Where a client's channel is, as the server sees it.
struct Place: Hashable {
  let carrier: Carrier
  let tuple: FourTuple

  init(_ carrier: Carrier, _ tuple: FourTuple) {
    self.carrier = carrier
    self.tuple = tuple
  }
}

/// What the sessions of one key hold.
struct KeyUse {
  var sessions = 0
  var channels = 0
}

extension TunnelEngine {
  /// A segment with SYN or a Hello, or one that belongs to no channel.
  mutating func serverReceive(
    _ segment: borrowing TCPSegment, on tuple: FourTuple, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard listener?.ports.contains(tuple.local.port) == true else {
      return counters.drop(.unknownChannel)
    }
    if listener?.strangers?.contains(tuple) == true { return receiveMore(segment, on: tuple) }
    if segment.flags.contains(.syn) {
      return answerSYN(segment, on: tuple, into: &segments, at: now)
    }
    // The bare acknowledgment that ends a handshake finds no channel yet.
    guard segment.payload.byteCount > 0 else { return }
    guard segment.flags.intersection([.ack, .rst]) == .ack else {
      return counters.drop(.unknownChannel)
    }
    // The client did not get our Hello: the same bytes again, while they are kept.
    if let index = unconfirmed[Place(.tcp, tuple)] ?? byTuple[tuple],
      channels[index].tcp?.peerFirstSequence == segment.sequence,
      channels[index].tcp?.firstSequence == segment.acknowledgment
    {
      return sendHello(on: index, into: &segments)
    }
    accept(segment, on: tuple, into: &segments, at: now)
  }

  /// Answers a SYN from the cookie; nothing is kept, and a live channel is not touched.
  private mutating func answerSYN(
    _ segment: borrowing TCPSegment, on tuple: FourTuple, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard segment.flags.intersection([.syn, .ack, .rst, .fin]) == .syn else {
      return counters.drop(.malformed)
    }
    guard listener?.synLimiter.allows(tuple.remote.address, at: now) == true,
      let cookie = listener?.cookie
    else { return counters.drop(.rateLimited) }
    let options = TCPOptions(parsing: segment.options)
    let sequence = cookie.make(
      for: tuple, clientISN: segment.sequence,
      mss: options.maximumSegmentSize ?? TCPProfile.defaultMSS(isIPv4: tuple.isIPv4), at: now)
    listener?.strangers?.note(options, cookie: sequence, clientISN: segment.sequence)
    let header = TCPHeader(
      sourcePort: tuple.local.port, destinationPort: tuple.remote.port, sequence: sequence,
      acknowledgment: segment.sequence &+ 1, flags: [.syn, .ack],
      window: TCPProfile.handshakeWindow(isIPv4: tuple.isIPv4))
    let mss = UInt16(interfacePath(tuple.local.address).tcpSegmentSize(isIPv4: tuple.isIPv4))
    if options.windowScale != nil {
      let bytes = TCPProfile.options(mss: mss)
      sendStray(header, on: tuple, options: bytes.span.octets, into: &segments)
    } else {
      let bytes = TCPProfile.options(mssOnly: mss)
      sendStray(header, on: tuple, options: bytes.span.octets, into: &segments)
    }
  }

  func interfacePath(_ local: IPAddress) -> Path {
    interfacePaths[local] ?? Path(mtu: 1500, carriesRuns: false)
  }

  /// Sends a segment that belongs to no channel.
  private mutating func sendStray(
    _ header: TCPHeader, on tuple: FourTuple, options: RawSpan = RawSpan(),
    into segments: inout SegmentBatch
  ) {
    guard
      segments.beginRun(channel: nil, family: tuple.family, optionLength: options.byteCount)
    else { return counters.drop(.batchFull) }
    finishStray(header, on: tuple, options: options, into: &segments)
  }

  /// Ends a segment that belongs to no channel; a kernel's have identification 0 as well.
  func finishStray(
    _ header: TCPHeader, on tuple: FourTuple, options: RawSpan = RawSpan(),
    into segments: inout SegmentBatch
  ) {
    segments.finishRun(
      header, from: tuple.local.address, to: tuple.remote.address, identification: 0,
      flowLabel: flowLabel(for: tuple, key: secret), options: options)
  }

  /// A client that comes from ever new addresses leaves channels behind: the one that was silent for
  /// the longest makes room.
  mutating func makeRoom(in session: Int, at now: Instant) {
    guard sessions[session].channels.count >= limits.channelsPerSession,
      let oldest = sessions[session].channels.min(by: {
        channels[$0].liveness.lastHeard < channels[$1].liveness.lastHeard
      })
    else { return }
    counters.drop(.channelLimit)
    removeChannel(oldest, at: now)
  }

  /// Answers data on an unknown connection as a kernel does (RFC 9293, section 3.10.7.1), so that a
  /// client whose server was restarted notices at once: what looks like a frame gets the token that the
  /// client believes.
  mutating func reject(
    _ segment: borrowing TCPSegment, on tuple: FourTuple, as reason: DropReason,
    into segments: inout SegmentBatch, at now: Instant
  ) {
    counters.drop(reason)
    guard configuration.ownsPorts, byTuple[tuple] == nil else { return }
    guard listener?.resetLimiter.allows(tuple.remote.address, at: now) == true else {
      return counters.drop(.rateLimited)
    }
    let header = TCPHeader(
      sourcePort: tuple.local.port, destinationPort: tuple.remote.port,
      sequence: segment.acknowledgment, acknowledgment: 0, flags: .rst, window: 0)
    guard listener?.keys.isEmpty == false, startsWithFrame(segment.payload),
      // Never more than was sent.
      segment.payload.byteCount >= ResetToken.byteCount,
      let token = listener?.keys.resetToken(for: tuple),
      begin(token.bytes, on: tuple, into: &segments)
    else { return sendStray(header, on: tuple, into: &segments) }
    finishStray(header, on: tuple, into: &segments)
  }

  /// Whether a payload may be that of a channel that this server does not know any more.
  func startsWithFrame(_ payload: RawSpan) -> Bool {
    if sealsFrames { return SealedFrame(parsing: payload, at: 0) != nil }
    guard let header = FrameHeader(parsing: payload, at: 0) else { return false }
    return FrameType(rawValue: header.type) != nil
      && FrameHeader.byteCount + Int(header.length) <= payload.byteCount
  }

  /// The session that a client's Hello names, a new one where it is new; nil where there is no room for
  /// it or its channel. With several keys none may take more than half of the room.
  mutating func session(for claim: SessionClaim, at now: Instant) -> Int? {
    let use = claim.keyName.flatMap { keyUse[$0] } ?? KeyUse()
    let share = listener?.keys.isShared == true ? 2 : 1
    guard channels.count - unconfirmed.count < limits.channels,
      use.channels < limits.channels / share
    else {
      counters.drop(.channelLimit)
      return nil
    }
    if let index = bySession[claim.id] {
      // Two that were not confirmed may have named the same session under two keys.
      guard sessions[index].keyName == claim.keyName else {
        counters.drop(.badHandshake)
        return nil
      }
      return index
    }
    guard sessions.count < limits.sessions, use.sessions < max(1, limits.sessions / share) else {
      counters.drop(.sessionLimit)
      return nil
    }
    let index = sessions.insert(
      Session(
        id: claim.id, keyName: claim.keyName, schedule: claim.schedule, firstNumber: random.next(),
        at: now))
    bySession[claim.id] = index
    noteUse(of: claim.keyName) { $0.sessions += 1 }
    return index
  }

  /// Keeps count of what a key's sessions hold.
  mutating func noteUse(of keyName: String?, _ change: (inout KeyUse) -> Void) {
    guard let keyName else { return }
    change(&keyUse[keyName, default: KeyUse()])
    if keyUse[keyName]?.sessions == 0 { keyUse[keyName] = nil }
  }

  /// The session has no channel left: it ends later, unless a channel comes. Without a flow there is
  /// nothing to keep it for.
  mutating func endLater(_ session: Int, at now: Instant) {
    let end = sessions[session].flowCount == 0 ? now : now + configuration.idleTimeout
    sessions[session].endsAt = end
    timers.schedule(.session(session), at: end)
  }

  mutating func expireSession(_ index: Int, at now: Instant) {
    guard sessions[index].channels.isEmpty else { return }
    guard sessions[index].endsAt <= now else {
      return timers.schedule(.session(index), at: sessions[index].endsAt)
    }
    endSession(index, at: now)
  }

  /// Ends a session that has no channel.
  mutating func endSession(_ index: Int, at now: Instant) {
    for flow in flows.indices(ofSession: index) { removeFlow(flow, at: now) }
    noteUse(of: sessions[index].keyName) { $0.sessions -= 1 }
    bySession[sessions[index].id] = nil
    if sessions[index].wasConnected {
      events.append(.sessionEnded(sessions[index].id, keyName: sessions[index].keyName))
    }
    timers.cancel(.session(index))
    timers.cancel(.pacing(index))
    reassembly.remove(session: index)
    sessions.remove(index)
    sessions.recycle(index)
  }

  /// The server's new flow for a datagram that names an unknown one; nil on a client, or where
  /// there are too many.
  mutating func newFlow(_ id: UInt16, of session: Int, at now: Instant) -> Int? {
    guard listener != nil else {
      counters.drop(.unknownFlow)
      return nil
    }
    guard sessions[session].flowCount < limits.flowsPerSession, flows.count < limits.flows else {
      counters.drop(.flowLimit)
      return nil
    }
    return addFlow(Flow(session: session, id: id, endpoint: nil, lastActive: now), at: now)
  }
}
