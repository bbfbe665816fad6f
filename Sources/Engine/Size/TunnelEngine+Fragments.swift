// Datagrams that do not fit a segment: cut into pieces of equal size, which are a run like others, and
// put together again at the other end. Each piece goes its own way; where one is lost, the datagram is.

internal import Wire

extension TunnelEngine {
  /// How a datagram is cut for segments of so many bytes; nil where that cannot be.
  func cut(_ byteCount: Int, into segmentSize: Int) -> Cut? {
    Cut(byteCount, intoAtMost: segmentSize &- frameOverhead &- FragmentHeader.byteCount)
  }

  /// Sends a datagram in pieces, on `channel` for as long as it has room, then on others.
  mutating func cut(
    _ whole: OutgoingDatagram, on channel: Int, in datagrams: inout PacketBatch,
    run: inout OpenRun?, into segments: inout SegmentBatch, at now: Instant
  ) {
    guard let cut = cut(whole.payload.count, into: cutLimit(of: whole, on: channel)) else {
      return counters.drop(.tooLarge)
    }
    let number = whole.copy?.datagram ?? takeNumber(of: flows[whole.flow].session)
    var (channel, piece) = (channel, whole)
    for index in 0..<cut.count {
      let range = cut.range(of: index)
      let prefix = FramePrefix.fragment(
        FragmentHeader(datagram: number, index: index, cut: cut))
      let size = frameOverhead &+ prefix.byteCount &+ range.count
      if run?.accepts(size) != true {
        finish(&run, into: &segments, at: now)
        guard let next = self.channel(after: channel, for: whole, size, at: now) else {
          return counters.drop(.windowFull)
        }
        channel = next
        begin(&run, on: channel, for: whole.flow, into: &segments, at: now)
      }
      let start = whole.payload.lowerBound &+ range.lowerBound
      piece.payload = start..<start &+ range.count
      guard add(piece, prefix, in: &datagrams, to: &run, into: &segments) else {
        return counters.drop(.batchFull)
      }
    }
    count(whole, on: channel)
  }

  /// The channel for the next pieces: the same, or where its window is full another one whose segments
  /// take them.
  private mutating func channel(
    after last: Int, for whole: OutgoingDatagram, _ size: Int, at now: Instant
  ) -> Int? {
    if channels[last].sendRoom >= size { return last }
    guard let other = pickChannel(for: whole, size, at: now), channels[other].segmentSize >= size
    else { return nil }
    return other
  }

  /// Takes a piece, and delivers the datagram where it was the last one.
  mutating func receiveFragment(
    _ payload: RawSpan, of id: UInt16, from channel: Int, to datagrams: inout DatagramBatch,
    at now: Instant
  ) {
    guard let header = FragmentHeader(parsing: payload) else {
      return counters.drop(.badFragment)
    }
    let session = channels[channel].session
    guard sessions[session].delivered.isNew(header.datagram, at: now) else {
      return counters.drop(.secondCopy)
    }
    timers.schedule(.reassembly, at: now + PieceRing.patience)
    guard
      let place = reassembly.take(
        header, flow: id, payload.extracting(FragmentHeader.byteCount...), session: session,
        at: now, &counters),
      sessions[session].delivered.take(header.datagram, at: now),
      let (flow, destination) = receiver(id, of: session, at: now)
    else { return }
    guard reassembly.deliver(place, flow: flow, destination: destination, to: &datagrams) else {
      return counters.drop(.batchFull)
    }
    counters.datagramsReceived &+= 1
    channels[channel].received.datagrams &+= 1
  }
}
