// What apps sent before the first channel was up: held for a while, then sent in order.

internal import Wire

extension TunnelEngine {
  mutating func hold(
    _ datagram: OutgoingDatagram, in datagrams: borrowing PacketBatch, at now: Instant
  ) {
    // What its first copy went on is up no more, or that copy is held.
    guard datagram.copy?.turn != .second else { return }
    guard dialer != nil else { return counters.drop(.noChannel) }
    dropOldHeld(at: now)
    let isHeld = held.append(
      datagrams.bytes(datagram.payload), flow: datagram.id, at: now)
    if !isHeld { counters.drop(.queueLimit) }
  }

  /// Sends what was held, in order, on the first channel that is up.
  mutating func sendAllHeld(
    on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    dropOldHeld(at: now)
    while !held.isEmpty {
      let entry = held.removeFirst()
      if let reason = send(entry, on: index, into: &segments, at: now) {
        counters.drop(reason)
      } else {
        counters.datagramsSent &+= 1
        channels[index].sent.datagrams &+= 1
      }
    }
  }

  /// Sends one held datagram; gives why where that cannot be.
  private mutating func send(
    _ entry: HoldQueue.Entry, on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) -> DropReason? {
    let bytes = entry.bytes.span.octets
    guard frameOverhead + bytes.byteCount > channels[index].segmentSize else {
      return sendAlone(.whole, bytes, of: entry.flow, on: index, into: &segments, at: now)
    }
    guard let cut = cut(bytes.byteCount, into: channels[index].segmentSize) else {
      return .tooLarge
    }
    let number = takeNumber(of: channels[index].session)
    for piece in 0..<cut.count {
      let prefix = FramePrefix.fragment(FragmentHeader(datagram: number, index: piece, cut: cut))
      let payload = bytes.extracting(cut.range(of: piece))
      if let reason = sendAlone(
        prefix, payload, of: entry.flow, on: index, into: &segments, at: now)
      {
        return reason
      }
    }
    return nil
  }

  /// Sends a frame whose payload is copied, in a segment of its own; gives why where that cannot be.
  private mutating func sendAlone(
    _ prefix: FramePrefix, _ payload: RawSpan, of flow: UInt16, on index: Int,
    into segments: inout SegmentBatch, at now: Instant
  ) -> DropReason? {
    let size = frameOverhead + prefix.byteCount + payload.byteCount
    guard size <= channels[index].sendRoom else { return .windowFull }
    guard beginRun(on: index, isControl: false, into: &segments) else { return .batchFull }
    guard
      appendFrame(prefix.type, prefix, flow: flow, copying: payload, on: index, into: &segments)
    else {
      segments.abandonRun()
      return .batchFull
    }
    finishRun(on: index, payloadLength: size, into: &segments)
    noteTransmission(on: index, expectsReply: true, at: now)
    noteWear(of: index, into: &segments, at: now)
    return nil
  }

  mutating func dropOldHeld(at now: Instant) {
    let expired = held.removeOlder(than: now - HoldQueue.ageLimit)
    for _ in 0..<expired { counters.drop(.heldTooLong) }
  }
}
