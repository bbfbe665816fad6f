// The probes that find out how large a channel's packets may be (`SegmentSize`), and what is told of it.

internal import Wire

extension TunnelEngine {
  /// Sends the next probes of a channel's size.
  mutating func probeSize(_ index: Int, into segments: inout SegmentBatch, at now: Instant) {
    // While nothing passes there is no need to know whether more would fit.
    let isIdle = now - sessions[channels[index].session].lastActive > .seconds(10)
    guard !isIdle || !channels[index].sizing.isSettled else {
      return channels[index].sizing.postpone(to: now + .seconds(30))
    }
    let window = channels[index].tcp?.sendRoom ?? .max
    guard channels[index].liveness.health == .healthy, !channels[index].allowance.isSpent,
      window >= channels[index].sizing.roundByteCount
    else { return channels[index].sizing.postpone(to: now + .seconds(1)) }
    let round = channels[index].sizing.nextRound(
      token: UInt32(truncatingIfNeeded: random.next()),
      timeout: channels[index].liveness.roundTrip.timeout, at: now)
    if let round {
      sendPadded(round.token, packetSize: round.size, on: index, into: &segments, at: now)
      sendPadded(round.token ^ 1, packetSize: round.smaller, on: index, into: &segments, at: now)
    }
    sizeChanged(index, at: now)
  }

  /// Takes the answer to a probe; false where it is none of these. What turns out to be too large for one
  /// channel may be so for the others.
  mutating func takeSizeAnswer(_ token: UInt32, on index: Int, at now: Instant) -> Bool {
    let size = channels[index].sizing.size
    guard channels[index].sizing.answered(token, at: now) else { return false }
    sizeChanged(index, at: now)
    guard channels[index].sizing.size < size else { return true }
    for other in sessions[channels[index].session].channels where channels[other].state == .open {
      if channels[other].sizing.check(at: now) { timers.schedule(.channel(other), at: now) }
    }
    return true
  }

  /// A probe that fills a packet of this size, and goes the way of datagrams.
  private mutating func sendPadded(
    _ token: UInt32, packetSize: Int, on index: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    let length = packetSize - channels[index].headerByteCount - frameOverhead
    guard length >= 4 else { return }
    var payload = [UInt8](repeating: 0, count: length)
    for byte in 0..<4 { payload[byte] = UInt8(truncatingIfNeeded: token >> UInt32(24 - 8 * byte)) }
    sendFrame(
      .probe, payload.span.octets, on: index, isControl: false, into: &segments, at: now)
  }

  /// Looks at the channel again when its size wants it, and tells what fits all channels of the session
  /// once all have settled.
  mutating func sizeChanged(_ index: Int, at now: Instant) {
    reschedule(index, at: now)
    let session = channels[index].session
    guard let largest = largestDatagram(session: session, isSettled: true),
      largest != sessions[session].toldLargest
    else { return }
    sessions[session].toldLargest = largest
    events.append(
      .largestDatagram(
        sessions[session].id, keyName: sessions[session].keyName, byteCount: largest))
  }

  /// The largest datagram that travels whole on every open channel of the session, in bytes; nil where
  /// there is none, or where one is still searching and it `isSettled` that is wanted.
  func largestDatagram(session: Int, isSettled: Bool) -> Int? {
    var largest: Int?
    for index in sessions[session].channels where channels[index].state == .open {
      if isSettled, !channels[index].sizing.isSettled { return nil }
      let fits = max(0, channels[index].segmentSize - datagramOverhead(of: session))
      largest = min(largest ?? fits, fits)
    }
    return largest
  }

  /// Notes that large packets were sent on a channel, for they have to be confirmed now and then.
  @inline(__always)
  mutating func noteSize(of run: OpenRun, at now: Instant) {
    let index = run.channel
    let packet = run.segmentSize &+ channels[index].headerByteCount
    guard SegmentSize.isLarge(packet),
      channels[index].sizing.noteLarge(
        packet, count: run.count, patience: channels[index].liveness.patience, at: now)
    else { return }
    timers.schedule(.channel(index), at: now)
  }
}

// ICMP.
extension TunnelEngine {
  /// Takes a router's message about a segment of ours; false where it is none.
  mutating func takeTooBig(_ packet: borrowing IPPacket, at now: Instant) -> Bool {
    guard let message = TooBigMessage(packet) else { return false }
    // Who has not seen the segment cannot know its sequence number (RFC 5927, section 4).
    guard let index = byTuple[message.tuple], channels[index].state == .open,
      channels[index].tcp?.isInFlight(message.sequence) == true
    else {
      counters.drop(.foreignTooBig)
      return true
    }
    channels[index].sizing.tooBig(limit: message.limit, at: now)
    sizeChanged(index, at: now)
    return true
  }
}
