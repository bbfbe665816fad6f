// What only a client does: dial, hold datagrams until it is connected, keep alive, replace.

public import Wire

// The handshake, as the client sees it.
extension TunnelEngine {
  /// Answers `Event.dial`: opens a channel and sends its SYN. Gives the channel's index.
  public mutating func dial(
    slot: Int, tuple: FourTuple, path: Path, into segments: inout SegmentBatch, at now: Instant
  ) -> Int {
    let isn =
      configuration.initialSequence ?? initialSequence(for: tuple, key: secret, at: now)
    let tcp = TCPConnection(
      sendNext: isn &+ 1, receiveNext: 0, peerWindow: 0, isScaled: false,
      identification: UInt16(truncatingIfNeeded: random.next()))
    let index = addChannel(
      Channel(
        tuple: tuple, id: UInt32(truncatingIfNeeded: random.next()), session: 0, slot: slot,
        state: .synSent, tcp: tcp, path: path,
        observed: TCPOptions(maximumSegmentSize: nil, windowScale: nil), peerSegmentSize: 0,
        at: now))
    sendSYN(on: index, into: &segments)
    retryLater(index, at: now)
    return index
  }

  /// Answers `Event.dial` where there is no way to the server, or no local port.
  public mutating func dialFailed(slot: Int, at now: Instant) {
    dialer?.slots[slot].pending -= 1
    scheduleDialer(at: now)
  }

  mutating func sendSYN(on index: Int, into segments: inout SegmentBatch) {
    let mss = UInt16(channels[index].path.segmentSize)
    let options = TCPProfile.options(mss: mss)
    guard segments.beginRun(channel: nil, optionLength: options.count) else {
      return counters.drop(.batchFull)
    }
    let tuple = channels[index].tuple
    let header = TCPHeader(
      sourcePort: tuple.local.port, destinationPort: tuple.remote.port,
      sequence: channels[index].firstSequence &- 1, acknowledgment: 0, flags: .syn,
      window: TCPProfile.handshakeWindow)
    segments.finishRun(
      header, from: tuple.local.address, to: tuple.remote.address,
      identification: channels[index].tcp.takeIdentification(), options: options.span.octets)
  }

  /// A SYN-ACK, or a Hello, on a channel of this client.
  mutating func clientReceive(
    _ segment: borrowing TCPSegment, on index: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    if segment.flags.contains(.syn) {
      receiveSYNACK(segment, on: index, into: &segments, at: now)
    } else if channels[index].state == .helloSent {
      receiveServerHello(segment, on: index, into: &segments, at: now)
    }
  }

  private mutating func receiveSYNACK(
    _ segment: borrowing TCPSegment, on index: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard segment.flags.isSuperset(of: [.syn, .ack]), !segment.flags.contains(.rst),
      segment.acknowledgment == channels[index].firstSequence
    else { return counters.drop(.outsideWindow) }
    if channels[index].state == .synSent {
      acceptSYNACK(segment, on: index, at: now)
      sendAcknowledgment(on: index, into: &segments)
      sendHello(on: index, into: &segments)
      retryLater(index, at: now)
    } else if channels[index].state == .helloSent {
      sendAcknowledgment(on: index, into: &segments)
    }
  }

  private mutating func acceptSYNACK(
    _ segment: borrowing TCPSegment, on index: Int, at now: Instant
  ) {
    let observed = TCPOptions(parsing: segment.options)
    channels[index].observed = observed
    channels[index].peerSegmentSize = Int(observed.maximumSegmentSize ?? 536)  // RFC 9293, 3.7.1
    channels[index].tcp = TCPConnection(
      sendNext: channels[index].firstSequence, receiveNext: segment.sequence &+ 1,
      peerWindow: Int(segment.window), isScaled: observed.windowScale != nil,
      identification: channels[index].tcp.takeIdentification())
    channels[index].peerFirstSequence = segment.sequence &+ 1
    // Which SYN is answered is unknown where several were sent (Karn's rule, RFC 6298), but a path
    // slower than the retransmission must not pass for a fast one.
    channels[index].liveness.measuredAtMost(now - channels[index].liveness.lastHeard)
    channels[index].state = .helloSent
    channels[index].attempts = 0
  }

  private mutating func receiveServerHello(
    _ segment: borrowing TCPSegment, on index: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard channels[index].tcp.isAcceptable(segment),
      let hello = Hello(parsingRecord: segment.payload)
    else { return counters.drop(.badHello) }
    guard hello.version == Hello.currentVersion else {
      return tellVersion(hello.version, of: channels[index].tuple.remote)
    }
    guard hello.session == sessions[0].id, hello.channel == channels[index].id else {
      return counters.drop(.badHello)
    }
    _ = channels[index].tcp.acknowledge(segment)
    let end = segment.sequence &+ UInt32(truncatingIfNeeded: segment.payload.byteCount)
    channels[index].tcp.received(upTo: end)
    channels[index].peerSegmentSize =
      min(channels[index].peerSegmentSize, Int(hello.segmentSize))
    channelOpened(index, into: &segments, at: now)
  }

  private mutating func channelOpened(
    _ index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    counters.channelsOpened &+= 1
    channels[index].state = .open
    _ = channels[index].liveness.heard(at: now)
    channels[index].keepaliveAt = now + random.jittered(configuration.keepalive)
    let previous = takeSlot(for: index, at: now)
    // The first frame tells the server that its Hello arrived, and measures the path.
    sendProbe(on: index, into: &segments, at: now)
    becameHealthy(index, into: &segments, at: now)
    if let previous { closeChannel(previous, at: now, into: &segments) }
    reschedule(index, at: now)
  }

  /// Makes the channel its slot's own and forgets other dials for it; gives the one it replaces.
  private mutating func takeSlot(for index: Int, at now: Instant) -> Int? {
    let slot = channels[index].slot
    let previous = dialer?.slots[slot].channel
    dialer?.slots[slot].channel = index
    dialer?.slots[slot].isSuspect = false
    dialer?.slots[slot].pending -= 1
    for other in sessions[0].channels
    where channels[other].slot == slot
      && (channels[other].state == .synSent || channels[other].state == .helloSent)
    {
      removeChannel(other, at: now)
    }
    return previous
  }
}

// When to dial.
extension TunnelEngine {
  /// Tells that the way to the server may have changed: link, route or address. Dials at once where
  /// nothing is heard, and asks every channel whether it still is.
  public mutating func networkChanged(at now: Instant) {
    for index in Array(channels.indices) where channels[index].state == .open {
      channels[index].liveness.ask(at: now)
      reschedule(index, at: now)
    }
    markStale(0)
    dialer?.pause = .seconds(1)
    if !hasCandidate(0) || sessions[0].health == .silent { tickDialerSoon(at: now) }
  }

  mutating func clientAppSent(at now: Instant) {
    if dialer?.isParked == true { unpark(at: now) }
    if sessions[0].health == .silent, !isActive(0, at: now) {
      dialer?.pause = .seconds(1)
      tickDialerSoon(at: now)
    }
  }

  mutating func unpark(at now: Instant) {
    dialer?.isParked = false
    dialMissing(at: now)
    scheduleDialer(at: now)
  }

  /// Dials for every slot that has no channel and no dial under way.
  mutating func dialMissing(at now: Instant) {
    guard let dialer else { return }
    for (slot, state) in dialer.slots.enumerated()
    where dialer.wantsChannel(state) && state.pending == 0 {
      requestDial(slot, at: now)
    }
  }

  /// Dials a replacement for a channel that still is its slot's own, until there is one.
  mutating func replace(_ index: Int, at now: Instant) {
    let slot = channels[index].slot
    guard dialer?.slots[slot].channel == index else { return }
    dialer?.slots[slot].isSuspect = true
    if dialer?.slots[slot].pending == 0 { requestDial(slot, at: now) }
    scheduleDialer(at: now)
  }

  private mutating func requestDial(_ slot: Int, at now: Instant) {
    guard !isClosing, let dialer else { return }
    // Just under a second, since the ticks are a second apart.
    if let last = dialer.slots[slot].lastDial, now - last < .milliseconds(950) { return }
    self.dialer?.slots[slot].lastDial = now
    self.dialer?.slots[slot].pending += 1
    events.append(
      .dial(slot: slot, remote: Endpoint(dialer.server, dialer.slots[slot].port)))
  }

  /// An outage: one more dial. Else: whatever is missing.
  mutating func tickDialer(at now: Instant, into segments: inout SegmentBatch) {
    dropOldHeld(at: now)
    if hasCandidate(0), sessions[0].health != .silent {
      dialer?.pause = .seconds(1)
      dialMissing(at: now)
    } else if let slot = dialer?.takeTurn() {
      requestDial(slot, at: now)
      let doubled = min((dialer?.pause ?? .seconds(1)) * 2, Dialer.longestPause)
      let pause = isActive(0, at: now) ? .seconds(1) : random.jittered(doubled)
      dialer?.pause = pause
    }
  }

  /// Makes sure that there is a tick while something is missing.
  mutating func scheduleDialer(at now: Instant) {
    guard let dialer, !isClosing else { return }
    guard dialer.isMissing || sessions[0].health == .silent || !held.isEmpty else { return }
    timers.schedule(.dialer, at: now + dialer.pause)
  }

  mutating func tickDialerSoon(at now: Instant) {
    timers.schedule(.dialer, at: now)
  }

  /// Bookkeeping for a channel of the client that is about to be removed.
  mutating func clientRemoved(_ index: Int, at now: Instant) {
    let slot = channels[index].slot
    if channels[index].state == .synSent || channels[index].state == .helloSent {
      dialer?.slots[slot].pending -= 1
    }
    channelLost(index, at: now)
    scheduleDialer(at: now)
  }

  mutating func clientBecameHealthy(
    _ index: Int, wasOutage: Bool, into segments: inout SegmentBatch, at now: Instant
  ) {
    sendHeld(on: index, into: &segments, at: now)
    if wasOutage { tickDialerSoon(at: now) }
  }

  private mutating func sendHeld(
    on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    dropOldHeld(at: now)
    while let entry = held.entries.first {
      if let reason = sendHeld(entry, on: index, into: &segments, at: now) {
        counters.drop(reason)
      } else {
        counters.datagramsSent &+= 1
      }
      held.removeFirst()
    }
  }

  /// Sends one held datagram; gives why where that cannot be.
  private mutating func sendHeld(
    _ entry: HoldQueue.Entry, on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) -> DropReason? {
    let size = FrameHeader.byteCount + entry.range.count
    guard size <= channels[index].segmentSize else { return .tooLarge }
    guard size <= channels[index].tcp.sendRoom else { return .windowFull }
    var run: OpenRun?
    begin(&run, on: index, into: &segments)
    guard run != nil else { return .batchFull }
    let header = channels[index].nextFrame(.datagram, length: entry.range.count, flow: entry.flow)
    guard segments.appendFrame(header, copying: held.datagram(entry)) else {
      segments.abandonRun()
      return .batchFull
    }
    run?.add(size)
    finish(&run, into: &segments, at: now)
    return nil
  }

  mutating func dropOldHeld(at now: Instant) {
    let expired = held.removeOlder(than: now - HoldQueue.ageLimit)
    for _ in 0..<expired { counters.drop(.heldTooLong) }
  }
}

// Idle channels, and flows.
extension TunnelEngine {
  /// How often a channel that is not the first is probed while idle.
  private static let spareKeepalive = Duration.seconds(300)
  /// How long the app must be silent before only one channel is kept.
  private static let parkAfter = Duration.seconds(600)

  /// An idle channel's turn: the first one keeps the NAT's mapping fresh, the others less often,
  /// and are closed after 10 minutes.
  mutating func keepAlive(
    _ index: Int, at now: Instant, into segments: inout SegmentBatch
  ) {
    let isFirst = dialer?.slots.first { $0.channel != nil }?.channel == index
    if !isFirst && now - sessions[0].lastActive >= Self.parkAfter {
      dialer?.isParked = true
      channelLost(index, at: now)
      return closeChannel(index, at: now, into: &segments)
    }
    let interval = random.jittered(isFirst ? configuration.keepalive : Self.spareKeepalive)
    let due = channels[index].liveness.lastHeard + interval
    if due <= now { sendProbe(on: index, into: &segments, at: now) }
    channels[index].keepaliveAt = due <= now ? now + interval : due
  }

  /// The flow of an app's endpoint, a new one where it is new.
  mutating func clientFlow(of endpoint: Endpoint, at now: Instant) -> Int? {
    if let index = flows.index(endpoint: endpoint) { return index }
    guard flows.count < limits.flowsPerSession, let id = flowIDs.take(at: now) else {
      counters.drop(.limitReached)
      return nil
    }
    return addFlow(Flow(session: 0, id: id, endpoint: endpoint, lastActive: now), at: now)
  }
}
