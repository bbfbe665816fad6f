// Reports both ways: what a channel's peer sent and got here, and what it says of ours.

internal import Wire

extension TunnelEngine {
  /// Tells the peer what arrived on the channel. Takes the place of the acknowledgment that is due.
  mutating func sendReport(on index: Int, into segments: inout SegmentBatch, at now: Instant) {
    if let received = channels[index].tcp?.receiveNext {
      channels[index].proxySigns.noteReport(
        received: received, roundTrip: channels[index].liveness.roundTrip.longest, at: now)
    }
    let report = ReceiverReport(
      tally: channels[index].reception.report(), highest: channels[index].highestReceived,
      isProxied: channels[index].proxyFinder == .thisEnd)
    sendFrame(.report, report.words.span.octets, on: index, into: &segments, at: now)
  }

  /// A report of the peer's: the channel carries frames both ways.
  mutating func receiveReport(
    _ payload: RawSpan, on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    let mask: UInt64 = sealsFrames ? 0xFFFF_FFFF : UInt64(FrameHeader.numberMask)
    let next = channels[index].nextNumber
    guard let report = ReceiverReport(parsing: payload),
      let isNews = channels[index].delivery.take(report, next: next, mask: mask)
    else { return counters.drop(.badReport) }
    if report.isProxied { noteProxied(index, by: .peer, at: now) }
    guard isNews else { return }
    // That a probe of the packet size does not arrive is no fault of the channel.
    let missing = channels[index].delivery.missing
    channels[index].delivery.forgive(channels[index].sizing.forgiven(of: missing))
    channels[index].sizing.reported(
      Int(clamping: report.tally.largest) &+ channels[index].headerByteCount, at: now)
    confirmed(index, into: &segments, at: now)
    weigh(index, into: &segments, at: now)
    // While datagrams flow nothing else measures the round trip.
    if channels[index].liveness.isProbeTimely(at: now) {
      sendProbe(on: index, into: &segments, at: now)
    }
  }

  /// The peer has got frames of ours, and we know: the channel is alive both ways.
  mutating func confirmed(_ index: Int, into segments: inout SegmentBatch, at now: Instant) {
    if channels[index].liveness.confirmed(at: now), channels[index].state == .open {
      becameHealthy(index, into: &segments, at: now)
    }
  }
}
