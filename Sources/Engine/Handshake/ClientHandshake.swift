// The opening of a channel as the client sees it: SYN, SYN-ACK, Hello, the server's Hello.

public import Wire

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
    dialer?.slots[slot].lastDial = nil
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
    channels[index].keepaliveAt = now + random.jittered(keepalive)
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
    for other in sessions[0].channels where channels[other].slot == slot {
      abandonDial(other, at: now)
    }
    return previous
  }

  /// Gives up a dial that another one overtook. The channel lingers, and its port with it: the kernel
  /// would answer a late SYN-ACK with an RST.
  private mutating func abandonDial(_ index: Int, at now: Instant) {
    guard channels[index].isDialling else { return }
    dialer?.slots[channels[index].slot].pending -= 1
    channels[index].state = .lingering
    channels[index].retryAt = now + Self.lingerTime
    reschedule(index, at: now)
  }
}
