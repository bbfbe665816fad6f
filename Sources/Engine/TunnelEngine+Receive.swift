// Wire to app: packets become segments of channels, segments frames, frames datagrams of flows.
//
//   packet ─► IPv4, TCP, checksum ─► channel by four-tuple ─► sequence ─► frames ─► flow

public import Wire

extension TunnelEngine {
  /// Takes a batch of received packets. The datagrams refer to the packets' bytes, so deliver them
  /// before the batch is filled again; `replies` is what the protocol answers at once.
  public mutating func decapsulate(
    _ packets: borrowing PacketBatch, into datagrams: inout DatagramBatch,
    replies: inout SegmentBatch, at now: Instant
  ) {
    for index in 0..<packets.count {
      let slot = packets.slot(index)
      guard let packet = IPv4Packet(packets[index]), packet.protocolNumber == 6,
        let segment = TCPSegment(packet.payload)
      else {
        counters.drop(.malformed)
        continue
      }
      let tuple = FourTuple(
        local: Endpoint(packet.destination, segment.destinationPort),
        remote: Endpoint(packet.source, segment.sourcePort))
      let channel = byTuple[tuple]
      // Before the checksum, which costs more: another client's segments come by here, too.
      guard channel != nil || listener != nil else {
        counters.drop(.unknownChannel)
        continue
      }
      guard slot.isChecksumTrusted || TCPSegment.isChecksumValid(of: packet) else {
        counters.drop(.badChecksum)
        continue
      }
      let payloadStart = slot.offset &+ packet.headerLength &+ segment.headerLength
      if let channel, !isHandshake(segment) {
        receive(
          segment, on: channel, payloadStart: payloadStart, into: &datagrams, replies: &replies,
          at: now)
      } else if listener != nil {
        serverReceive(segment, on: tuple, into: &replies, at: now)
      } else if let channel {
        clientReceive(segment, on: channel, into: &replies, at: now)
      }
    }
  }

  private mutating func receive(
    _ segment: borrowing TCPSegment, on index: Int, payloadStart: Int,
    into datagrams: inout DatagramBatch, replies: inout SegmentBatch, at now: Instant
  ) {
    guard !segment.flags.contains(.rst) else {
      return warned(index, sequence: segment.sequence, into: &replies, at: now)
    }
    guard channels[index].state != .synSent, channels[index].state != .helloSent else { return }
    guard channels[index].tcp.isAcceptable(segment) else { return counters.drop(.outsideWindow) }
    if channels[index].tcp.acknowledge(segment) { channels[index].fullSince = nil }
    let end = receiveFrames(
      of: segment.payload, on: index, payloadStart: payloadStart, into: &datagrams,
      replies: &replies, at: now)
    if end > 0 {
      channels[index].tcp.received(upTo: segment.sequence &+ UInt32(truncatingIfNeeded: end))
      noteHeard(on: index, into: &replies, at: now)
    }
    if segment.flags.contains(.fin) {
      receiveFin(segment, on: index, into: &replies, at: now)
    }
    acknowledgeIfMuch(index, into: &replies)
  }

  /// Whether the segment belongs to the opening of a channel: it has SYN, or carries a Hello.
  private func isHandshake(_ segment: borrowing TCPSegment) -> Bool {
    segment.flags.contains(.syn)
      || segment.payload.byteCount >= Hello.recordByteCount
        && segment.payload.byte(at: 0) == Hello.recordType
  }

  /// Gives each frame of a payload to who it is for. Returns where the last valid one ends, 0 where
  /// there is none.
  private mutating func receiveFrames(
    of payload: RawSpan, on index: Int, payloadStart: Int, into datagrams: inout DatagramBatch,
    replies: inout SegmentBatch, at now: Instant
  ) -> Int {
    var offset = 0
    var validEnd = 0
    channels[index].hasAnswered = false
    while let header = FrameHeader(parsing: payload, at: offset) {
      let start = offset &+ FrameHeader.byteCount
      let end = start &+ Int(header.length)
      guard end <= payload.byteCount else { break }
      offset = end
      guard channels[index].incoming.accept(header.number) else {
        counters.drop(.repeatedFrame)
        continue
      }
      guard let type = FrameType(rawValue: header.type) else {
        counters.drop(.unknownFrame)
        continue
      }
      validEnd = end
      if type == .datagram {
        deliver(
          header.flow, payloadStart &+ start..<payloadStart &+ end, from: index, to: &datagrams,
          at: now)
      } else {
        receiveControl(
          type, payload.extracting(start..<end), on: index, replies: &replies, at: now)
      }
    }
    if offset < payload.byteCount { counters.drop(.truncatedFrame) }
    return validEnd
  }

  private mutating func deliver(
    _ id: UInt16, _ payload: Range<Int>, from channel: Int, to datagrams: inout DatagramBatch,
    at now: Instant
  ) {
    let session = channels[channel].session
    guard let index = flows.index(session: session, id: id) ?? newFlow(id, of: session, at: now)
    else { return }
    flows[index].lastActive = now
    sessions[session].lastActive = now
    channels[channel].owesSignOfLife = true
    if dialer?.isParked == true { unpark(at: now) }
    let destination = flows[index].endpoint ?? Endpoint(.any, 0)
    guard datagrams.append(flow: index, destination: destination, payload: payload) else {
      return counters.drop(.batchFull)
    }
    counters.datagramsReceived &+= 1
  }

  /// A valid frame came on the channel: it is alive, and owes an acknowledgment.
  private mutating func noteHeard(
    on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    let isConfirmation = channels[index].state == .unconfirmed
    if isConfirmation { confirm(index, into: &segments, at: now) }
    let isNews = channels[index].liveness.heard(at: now)
    if (isNews || isConfirmation) && channels[index].state == .open {
      becameHealthy(index, into: &segments, at: now)
    }
    if channels[index].acknowledgmentDue == nil {
      let due = Instant(nanoseconds: now.nanoseconds &+ TunnelEngine.acknowledgmentDelay)
      channels[index].acknowledgmentDue = due
      timers.schedule(.channel(index), at: due)
    }
  }

  /// The client has our Hello. A probe of our own measures the path, as the client's does for it.
  private mutating func confirm(
    _ index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    channels[index].state = .open
    channels[index].liveness.measuredAtMost(now - channels[index].liveness.lastHeard)
    sendProbe(on: index, into: &segments, at: now)
  }
}
