// Frames that are not datagrams, pure acknowledgments, closes, and what RST and FIN from outside
// mean: small segments that go by the raw socket.

internal import Wire

extension TunnelEngine {
  /// The longest that received bytes wait for an acknowledgment, in nanoseconds.
  static let acknowledgmentDelay: Int64 = 200_000_000
  /// The largest probe that is answered with its own payload, in bytes.
  private static let probeLimit = 64
  /// How long a channel lasts after both sides closed it, for frames that were overtaken.
  static let lingerTime = Duration.seconds(1)

  /// Sends one control frame; one that is to go the way of datagrams is no control segment.
  mutating func sendFrame(
    _ type: FrameType, _ payload: RawSpan = RawSpan(), on index: Int,
    isClose: Bool = false, expectsReply: Bool = false, isControl: Bool = true,
    into segments: inout SegmentBatch, at now: Instant
  ) {
    guard beginRun(on: index, isControl: isControl, into: &segments) else {
      return counters.drop(.batchFull)
    }
    guard appendFrame(type, copying: payload, on: index, into: &segments) else {
      segments.abandonRun()
      return counters.drop(.batchFull)
    }
    finishRun(
      on: index, payloadLength: frameOverhead + payload.byteCount, isClose: isClose,
      into: &segments)
    noteTransmission(on: index, expectsReply: expectsReply, at: now)
  }

  /// Sends an acknowledgment without data, where the carrier has such.
  mutating func sendAcknowledgment(on index: Int, into segments: inout SegmentBatch) {
    let tuple = channels[index].tuple
    guard let header = channels[index].tcp?.nextHeader(tuple, flags: .ack, payloadLength: 0)
    else { return }
    guard beginRun(on: index, isControl: true, into: &segments) else {
      return counters.drop(.batchFull)
    }
    finish(header, on: index, into: &segments)
    channels[index].sent.count(segments: 1, bytes: 0)
    channels[index].acknowledgmentDue = nil
  }

  mutating func acknowledgeIfMuch(_ index: Int, into segments: inout SegmentBatch) {
    if let tcp = channels[index].tcp, tcp.unacknowledgedBytes >= tcp.acknowledgmentBytes {
      sendAcknowledgment(on: index, into: &segments)
    }
  }

  /// A probe carries the moment that it was sent, in microseconds; the answer brings it back.
  mutating func sendProbe(on index: Int, into segments: inout SegmentBatch, at now: Instant) {
    let stamp = Self.microseconds(now)
    channels[index].liveness.asked(stamp, at: now)
    let payload: InlineArray<1, UInt32> = [stamp.bigEndian]
    sendFrame(
      .probe, payload.span.octets, on: index, expectsReply: true, into: &segments, at: now)
  }

  private static func microseconds(_ now: Instant) -> UInt32 {
    UInt32(truncatingIfNeeded: now.nanoseconds / 1_000)
  }

  mutating func receiveControl(
    _ type: FrameType, _ payload: RawSpan, on index: Int, replies: inout SegmentBatch,
    at now: Instant
  ) {
    switch type {
    case .probe: answer(payload, on: index, into: &replies, at: now)
    case .answer:
      if isFromCandidate(payload, on: index, into: &replies, at: now) { return }
      receiveAnswer(payload, on: index, into: &replies, at: now)
    case .report: receiveReport(payload, on: index, into: &replies, at: now)
    case .suspect: receiveSuspects(payload, on: index, into: &replies, at: now)
    case .close: receiveClose(on: index, into: &replies, at: now)
    case .more: openMore(at: now)
    case .keepalive, .datagram, .copy, .fragment: break
    }
  }

  /// Answers a probe: at most once for all that a packet holds, so that frames of 8 bytes do not
  /// become packets.
  private mutating func answer(
    _ payload: RawSpan, on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    guard !channels[index].hasSentClose, !channels[index].hasAnswered else { return }
    channels[index].hasAnswered = true
    let echo = payload.extracting(0..<min(payload.byteCount, Self.probeLimit))
    sendFrame(.answer, echo, on: index, into: &segments, at: now)
  }

  private mutating func receiveAnswer(
    _ payload: RawSpan, on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    guard payload.byteCount >= 4 else { return }
    let stamp = payload.be32(at: 0)
    if takeSizeAnswer(stamp, on: index, at: now) {
      return confirmed(index, into: &segments, at: now)
    }
    guard channels[index].liveness.takeAnswer(stamp) else { return }
    let elapsed = Int32(bitPattern: Self.microseconds(now) &- stamp)
    guard elapsed >= 0, .microseconds(elapsed) < RoundTrip.limit else { return }
    channels[index].liveness.measured(.microseconds(max(elapsed, 1)), at: now)
    confirmed(index, into: &segments, at: now)
  }
}

// Closing. Our own close is a close frame inside a FIN segment; a bare FIN or RST is foreign.
extension TunnelEngine {
  /// Closes a channel from this side.
  mutating func closeChannel(_ index: Int, at now: Instant, into segments: inout SegmentBatch) {
    switch channels[index].state {
    case .synSent, .helloSent, .unconfirmed: removeChannel(index, at: now)
    case .open:
      channels[index].state = .closing
      channels[index].isCloser = true
      channels[index].attempts = 0
      markStale(channels[index].session)
      sendClose(on: index, into: &segments, at: now)
      retryLater(index, at: now)
      // The close may be lost on a path that is: the peer hears of it on another one, too.
      if !isClosing { report(index, into: &segments, at: now) }
    case .closing, .lingering: break
    }
  }

  /// Sends the close frame, on TCP with FIN: the first time with the next sequence number, then again
  /// with the same.
  mutating func sendClose(on index: Int, into segments: inout SegmentBatch, at now: Instant) {
    guard let sequence = channels[index].tcp?.closeSequence else {
      let next = channels[index].tcp?.sendNext
      sendFrame(.close, on: index, isClose: true, into: &segments, at: now)
      if channels[index].tcp?.sendNext != next { channels[index].tcp?.closeSequence = next }
      return
    }
    guard beginRun(on: index, isControl: true, into: &segments) else {
      return counters.drop(.batchFull)
    }
    guard appendFrame(.close, copying: RawSpan(), on: index, into: &segments) else {
      return segments.abandonRun()
    }
    let tuple = channels[index].tuple
    let header = channels[index].tcp?.repeatedHeader(
      tuple, flags: [.ack, .psh, .fin], sequence: sequence)
    if let header {
      finish(header, on: index, into: &segments)
      channels[index].sent.count(segments: 1, bytes: frameOverhead)
    }
  }

  private mutating func receiveClose(
    on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    if channels[index].state == .open {
      channels[index].state = .lingering
      markStale(channels[index].session)
      channelLost(index, at: now)
    }
    channels[index].state = .lingering
    channels[index].retryAt = now + Self.lingerTime
    reschedule(index, at: now)
    // On TCP the answer follows the FIN.
    if channels[index].numbered != nil, !channels[index].isCloser {
      sendClose(on: index, into: &segments, at: now)
    }
  }

  /// A FIN: the end of a close where a close frame came with it, else from outside.
  mutating func receiveFin(
    _ header: TCPHeader, payloadLength: Int, on index: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard channels[index].state == .lingering else {
      return warned(index, sequence: header.sequence, into: &segments, at: now)
    }
    let end = header.sequence &+ UInt32(truncatingIfNeeded: payloadLength)
    channels[index].tcp?.received(upTo: end &+ 1)
    if channels[index].isCloser {
      sendAcknowledgment(on: index, into: &segments)
    } else {
      sendClose(on: index, into: &segments, at: now)
    }
  }
}

// RST and FIN from outside are never believed, but a NAT may believe them: the channel is probed,
// others are preferred, and the client opens a replacement whatever the probe says.
extension TunnelEngine {
  /// An RST: the server's own where it carries the channel's token, which then is gone at the server;
  /// else it may be anyone's.
  mutating func receiveReset(
    _ payload: RawSpan, sequence: UInt32, on index: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard let token = channels[index].resetToken, ResetToken(parsing: payload, at: 0) == token
    else { return warned(index, sequence: sequence, into: &segments, at: now) }
    let session = channels[index].session
    removeChannel(index, at: now)
    // The server was restarted, most likely: a probe of each other channel finds out at once.
    for other in sessions[session].channels
    where channels[other].state == .open && channels[other].liveness.health.isUndoubted {
      ask(other, at: now)
    }
  }

  /// An RST, or a FIN without a close frame.
  mutating func warned(
    _ index: Int, sequence: UInt32, into segments: inout SegmentBatch, at now: Instant
  ) {
    guard channels[index].tcp?.isInWindow(sequence) == true else {
      return counters.drop(.foreignReset)
    }
    heedHint(on: index, into: &segments, at: now)
  }

  /// Somebody says that the channel has ended.
  mutating func heedHint(on index: Int, into segments: inout SegmentBatch, at now: Instant) {
    counters.drop(.foreignReset)
    switch channels[index].state {
    case .open: distrust(index, into: &segments, at: now)
    case .helloSent, .unconfirmed: channels[index].hasEarlyWarning = true
    case .synSent, .closing, .lingering: break
    }
  }

  /// The channel is open: what came while it was being opened counts now.
  mutating func heedEarlyWarning(
    of index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    if channels[index].hasEarlyWarning { distrust(index, into: &segments, at: now) }
  }

  /// Doubts the channel, and names it to the peer.
  mutating func distrust(_ index: Int, into segments: inout SegmentBatch, at now: Instant) {
    if suspect(index, at: now) { report(index, into: &segments, at: now) }
  }

  /// Names the channel to the peer.
  private mutating func report(
    _ index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    addSuspect(index)
    reportSuspects(of: channels[index].session, into: &segments, at: now)
  }

  /// Has the channel named to the peer as soon as one is healthy.
  mutating func addSuspect(_ index: Int) {
    let (session, id) = (channels[index].session, channels[index].id)
    guard !sessions[session].suspects.contains(id),
      sessions[session].suspects.count < limits.suspects
    else { return }
    sessions[session].suspects.append(id)
  }

  /// Doubts the channel, and has a client dial a replacement; false where that was done less than
  /// a second ago.
  private mutating func suspect(_ index: Int, at now: Instant) -> Bool {
    if let last = channels[index].lastWarning, now - last < .seconds(1) { return false }
    channels[index].lastWarning = now
    channels[index].liveness.doubt(at: now)
    markStale(channels[index].session)
    reschedule(index, at: now)
    if dialer != nil { replace(index, at: now) }
    return true
  }

  /// Names the session's suspects to the peer on the best channel; they stay on the list until
  /// that was a healthy one.
  mutating func reportSuspects(
    of session: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    guard !sessions[session].suspects.isEmpty, hasCandidate(session) else { return }
    let candidates = sessions[session].candidates
    let carrier = candidates[random.below(candidates.count)]
    let names = sessions[session].suspects.map(\.bigEndian)
    sendFrame(.suspect, names.span.octets, on: carrier, into: &segments, at: now)
    if sessions[session].health == .healthy { sessions[session].suspects.removeAll() }
  }

  private mutating func receiveSuspects(
    _ payload: RawSpan, on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    let session = channels[index].session
    let length = min(payload.byteCount & ~3, 4 * limits.suspects)
    for offset in stride(from: 0, to: length, by: 4) {
      let id = payload.be32(at: offset)
      for suspected in sessions[session].channels
      where channels[suspected].id == id && channels[suspected].state == .open {
        _ = suspect(suspected, at: now)
      }
    }
  }
}
