// What only a server does: answer SYNs from a cookie, accept channels, create sessions and flows.

internal import Wire

/// What a server needs to answer strangers without remembering them.
struct Listener {
  let ports: PortSet
  let cookie: SYNCookie
  /// SYN-ACKs to one network: room for many clients behind one NAT that reconnect at once.
  var synLimiter: RateLimiter
  /// RSTs to one network.
  var resetLimiter: RateLimiter

  init(ports: PortSet, secret: SipHashKey) {
    self.ports = ports
    cookie = SYNCookie(key: secret)
    synLimiter = RateLimiter(perSecond: 200, burst: 400, key: secret)
    resetLimiter = RateLimiter(perSecond: 20, burst: 40, key: secret)
  }
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
    if segment.flags.contains(.syn) {
      return answerSYN(segment, on: tuple, into: &segments, at: now)
    }
    // The bare acknowledgment that ends a handshake finds no channel yet.
    guard segment.payload.byteCount > 0 else { return }
    guard segment.flags.intersection([.ack, .rst]) == .ack else {
      return counters.drop(.unknownChannel)
    }
    if let index = byTuple[tuple], channels[index].peerFirstSequence == segment.sequence,
      channels[index].firstSequence == segment.acknowledgment
    {
      return repeatHello(on: index, into: &segments)
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
    let header = TCPHeader(
      sourcePort: tuple.local.port, destinationPort: tuple.remote.port,
      sequence: cookie.make(
        for: tuple, clientISN: segment.sequence, mss: options.maximumSegmentSize ?? 536, at: now),
      acknowledgment: segment.sequence &+ 1, flags: [.syn, .ack],
      window: TCPProfile.handshakeWindow)
    let mss = UInt16(interfacePath(tuple.local.address).segmentSize)
    if options.windowScale != nil {
      let bytes = TCPProfile.options(mss: mss)
      sendStray(header, on: tuple, options: bytes.span.octets, into: &segments)
    } else {
      let bytes = TCPProfile.options(mssOnly: mss)
      sendStray(header, on: tuple, options: bytes.span.octets, into: &segments)
    }
  }

  private func interfacePath(_ local: IPv4Address) -> Path {
    interfacePaths[local] ?? Path(mtu: 1500, carriesRuns: false)
  }

  /// Sends a segment that belongs to no channel; a kernel's have identification 0 as well.
  private mutating func sendStray(
    _ header: TCPHeader, on tuple: FourTuple, options: RawSpan = RawSpan(),
    into segments: inout SegmentBatch
  ) {
    guard segments.beginRun(channel: nil, optionLength: options.byteCount) else {
      return counters.drop(.batchFull)
    }
    segments.finishRun(
      header, from: tuple.local.address, to: tuple.remote.address, identification: 0,
      options: options)
  }

  /// The client did not get our Hello: the same bytes again.
  private mutating func repeatHello(on index: Int, into segments: inout SegmentBatch) {
    guard channels[index].closeSequence == nil else { return }
    sendHello(on: index, into: &segments)
  }

  /// A first payload. With a valid cookie and a valid Hello it opens a channel, else it is a
  /// stranger's.
  private mutating func accept(
    _ segment: borrowing TCPSegment, on tuple: FourTuple, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard !isClosing else { return counters.drop(.unknownChannel) }
    guard let hello = Hello(parsingRecord: segment.payload),
      let mss = listener?.cookie.validate(
        segment.acknowledgment &- 1, for: tuple, clientISN: segment.sequence &- 1, at: now)
    else { return reject(segment, on: tuple, into: &segments, at: now) }
    guard hello.version == Hello.currentVersion else {
      return answerVersion(hello, segment, on: tuple, into: &segments)
    }
    if let previous = byTuple[tuple] { removeChannel(previous, at: now) }
    guard channels.count < limits.channels, let session = session(hello.session, at: now) else {
      return counters.drop(.limitReached)
    }
    makeRoom(in: session, at: now)
    let index = addChannel(
      makeChannel(segment, hello, on: tuple, session: session, mss: mss, at: now))
    channels[index].retryAt = now + Self.confirmationTime
    reschedule(index, at: now)
    counters.channelsOpened &+= 1
    sendHello(on: index, into: &segments)
    events.append(.channelOpened(channel: index, tuple))
  }

  /// A client that comes from ever new addresses leaves channels behind: the one that was silent for
  /// the longest makes room.
  private mutating func makeRoom(in session: Int, at now: Instant) {
    guard sessions[session].channels.count >= limits.channelsPerSession,
      let oldest = sessions[session].channels.min(by: {
        channels[$0].liveness.lastHeard < channels[$1].liveness.lastHeard
      })
    else { return }
    counters.drop(.limitReached)
    removeChannel(oldest, at: now)
  }

  /// A client that speaks another version learns of it from our own Hello; nothing is kept.
  private mutating func answerVersion(
    _ hello: Hello, _ segment: borrowing TCPSegment, on tuple: FourTuple,
    into segments: inout SegmentBatch
  ) {
    tellVersion(hello.version, of: tuple.remote)
    let answer = Hello(
      observed: hello.observed,
      segmentSize: UInt16(interfacePath(tuple.local.address).segmentSize),
      channel: hello.channel, session: hello.session)
    guard begin(answer, into: &segments) else { return counters.drop(.batchFull) }
    let end = segment.sequence &+ UInt32(truncatingIfNeeded: segment.payload.byteCount)
    let header = TCPHeader(
      sourcePort: tuple.local.port, destinationPort: tuple.remote.port,
      sequence: segment.acknowledgment, acknowledgment: end, flags: [.ack, .psh], window: .max)
    segments.finishRun(
      header, from: tuple.local.address, to: tuple.remote.address, identification: 0)
  }

  private mutating func makeChannel(
    _ segment: borrowing TCPSegment, _ hello: Hello, on tuple: FourTuple, session: Int,
    mss: UInt16, at now: Instant
  ) -> Channel {
    // The scale is a constant of the profile; the client says whether it survived the way.
    let isScaled = hello.observed.windowScale != nil
    let tcp = TCPConnection(
      sendNext: segment.acknowledgment, receiveNext: segment.sequence,
      peerWindow: Int(segment.window) << (isScaled ? Int(TCPProfile.windowScale) : 0),
      isScaled: isScaled, identification: UInt16(truncatingIfNeeded: random.next()))
    var channel = Channel(
      tuple: tuple, id: hello.channel, session: session, slot: 0, state: .unconfirmed, tcp: tcp,
      path: interfacePath(tuple.local.address),
      // Of the SYN there is only the cookie's class of its MSS, and that scaling survived.
      observed: TCPOptions(maximumSegmentSize: mss, windowScale: hello.observed.windowScale),
      peerSegmentSize: Int(
        min(mss, hello.segmentSize, hello.observed.maximumSegmentSize ?? .max)), at: now)
    channel.tcp.received(
      upTo: segment.sequence &+ UInt32(truncatingIfNeeded: segment.payload.byteCount))
    return channel
  }

  /// Answers data on an unknown connection as a kernel does (RFC 9293, section 3.10.7.1), so that a
  /// client whose server was restarted notices at once.
  private mutating func reject(
    _ segment: borrowing TCPSegment, on tuple: FourTuple, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard byTuple[tuple] == nil else { return counters.drop(.badHello) }
    counters.drop(.unknownChannel)
    guard listener?.resetLimiter.allows(tuple.remote.address, at: now) == true else {
      return counters.drop(.rateLimited)
    }
    let header = TCPHeader(
      sourcePort: tuple.local.port, destinationPort: tuple.remote.port,
      sequence: segment.acknowledgment, acknowledgment: 0, flags: .rst, window: 0)
    sendStray(header, on: tuple, into: &segments)
  }

  private mutating func session(_ id: SessionID, at now: Instant) -> Int? {
    if let index = bySession[id] { return index }
    guard sessions.count < limits.sessions else { return nil }
    let index = sessions.insert(Session(id: id, at: now))
    bySession[id] = index
    return index
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
    for flow in flows.indices(ofSession: index) { removeFlow(flow, at: now) }
    bySession[sessions[index].id] = nil
    if sessions[index].wasConnected { events.append(.sessionEnded(sessions[index].id)) }
    timers.cancel(.session(index))
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
      counters.drop(.limitReached)
      return nil
    }
    return addFlow(Flow(session: session, id: id, endpoint: nil, lastActive: now), at: now)
  }
}
