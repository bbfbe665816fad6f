// Datagrams that do not fit a segment: cut into pieces of equal size, which are a run like others, and
// put together again at the other end. Each piece goes its own way; where one is lost, the datagram is.

internal import Wire

/// A datagram that has to be cut.
struct Cuttable {
  /// Where it lies in the packet batch.
  let payload: Range<Int>
  /// The id of its flow.
  let flow: UInt16
  let session: Int
}

extension TunnelEngine {
  /// How a datagram is cut for a channel; nil where that cannot be.
  func cut(_ byteCount: Int, on index: Int) -> Cut? {
    Cut(
      byteCount,
      intoAtMost: channels[index].segmentSize &- frameOverhead &- FragmentHeader.byteCount)
  }

  mutating func takeCutNumber(of session: Int) -> UInt32 {
    defer {
      sessions[session].nextCut = (sessions[session].nextCut &+ 1) & FragmentHeader.datagramMask
    }
    return sessions[session].nextCut
  }

  /// Sends a datagram in pieces, on `channel` for as long as it has room, then on others.
  mutating func cut(
    _ whole: Cuttable, on channel: Int, in datagrams: inout PacketBatch, run: inout OpenRun?,
    into segments: inout SegmentBatch, at now: Instant
  ) {
    guard let cut = cut(whole.payload.count, on: channel) else { return counters.drop(.tooLarge) }
    let datagram = takeCutNumber(of: whole.session)
    var channel = channel
    for index in 0..<cut.count {
      let range = cut.range(of: index)
      let size = frameOverhead &+ FragmentHeader.byteCount &+ range.count
      if run?.accepts(size) != true {
        finish(&run, into: &segments, at: now)
        guard let next = self.channel(after: channel, of: whole.session, for: size, at: now) else {
          return counters.drop(.windowFull)
        }
        channel = next
        begin(&run, on: channel, into: &segments)
      }
      let start = whole.payload.lowerBound &+ range.lowerBound
      if run?.joins(size) == true { segments.joinSegment() }
      guard run != nil,
        appendFrame(
          .fragment, of: whole.flow,
          fragment: FragmentHeader(datagram: datagram, index: index, cut: cut),
          start..<start &+ range.count, in: &datagrams, on: channel, into: &segments)
      else { return counters.drop(.batchFull) }
      run?.add(size)
    }
    counters.datagramsSent &+= 1
    channels[channel].sent.datagrams &+= 1
  }

  /// The channel for the next pieces: the same, or where its window is full another one whose segments
  /// take them.
  private mutating func channel(
    after last: Int, of session: Int, for size: Int, at now: Instant
  ) -> Int? {
    if channels[last].carrier.sendRoom >= size { return last }
    guard let other = pickChannel(session, for: size, at: now),
      channels[other].segmentSize >= size
    else { return nil }
    return other
  }

  /// Takes a piece, and delivers the datagram where it was the last one.
  mutating func receiveFragment(
    _ payload: RawSpan, of id: UInt16, from channel: Int, to datagrams: inout DatagramBatch,
    at now: Instant
  ) {
    oweReport(on: channel, at: now)
    guard let header = FragmentHeader(parsing: payload) else {
      return counters.drop(.badFragment)
    }
    let session = channels[channel].session
    timers.schedule(.reassembly, at: now + PieceRing.patience)
    guard
      let place = reassembly.take(
        header, flow: id, payload.extracting(FragmentHeader.byteCount...), session: session,
        at: now, &counters),
      let (flow, destination) = receiver(id, of: session, at: now)
    else { return }
    guard reassembly.deliver(place, flow: flow, destination: destination, to: &datagrams) else {
      return counters.drop(.batchFull)
    }
    counters.datagramsReceived &+= 1
    channels[channel].received.datagrams &+= 1
  }
}
