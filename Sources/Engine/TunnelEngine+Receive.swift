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
      guard slot.isChecksumTrusted || TCPSegment.isChecksumValid(of: packet) else {
        counters.drop(.badChecksum)
        continue
      }
      let tuple = FourTuple(
        local: Endpoint(packet.destination, segment.destinationPort),
        remote: Endpoint(packet.source, segment.sourcePort))
      let payloadStart = slot.offset &+ packet.headerLength &+ segment.headerLength
      receive(
        segment, on: tuple, payloadStart: payloadStart, into: &datagrams, replies: &replies,
        at: now)
    }
  }

  private mutating func receive(
    _ segment: borrowing TCPSegment, on tuple: FourTuple, payloadStart: Int,
    into datagrams: inout DatagramBatch, replies: inout SegmentBatch, at now: Instant
  ) {
    guard let index = byTuple[tuple], !isHandshake(segment) else {
      return receiveHandshake(segment, on: tuple, replies: &replies, at: now)
    }
    guard !segment.flags.contains(.rst) else {
      return receiveReset(segment, on: index, into: &replies, at: now)
    }
    guard channels[index].state != .synSent, channels[index].state != .helloSent else { return }
    guard channels[index].tcp.isAcceptable(segment) else { return counters.drop(.outsideWindow) }
    if channels[index].tcp.acknowledge(segment) { channels[index].fullSince = nil }
    let end = receiveFrames(
      of: segment.payload, on: index, payloadStart: payloadStart, into: &datagrams,
      replies: &replies, at: now)
    guard channels.contains(index) else { return }
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

  private mutating func receiveHandshake(
    _ segment: borrowing TCPSegment, on tuple: FourTuple, replies: inout SegmentBatch,
    at now: Instant
  ) {
    if listener != nil {
      serverReceive(segment, on: tuple, into: &replies, at: now)
    } else if let index = byTuple[tuple] {
      clientReceive(segment, on: index, into: &replies, at: now)
    } else {
      counters.drop(.unknownChannel)
    }
  }

  /// Gives each frame of a payload to who it is for. Returns how far the valid ones reach.
  private mutating func receiveFrames(
    of payload: RawSpan, on index: Int, payloadStart: Int, into datagrams: inout DatagramBatch,
    replies: inout SegmentBatch, at now: Instant
  ) -> Int {
    var offset = 0
    var validEnd = 0
    while let header = FrameHeader(parsing: payload, at: offset) {
      let start = offset &+ FrameHeader.byteCount
      let end = start &+ Int(header.length)
      guard end <= payload.byteCount else { break }
      offset = end
      guard channels[index].incoming.accept(header.number) else {
        counters.drop(.repeatedFrame)
        continue
      }
      validEnd = end
      if header.type == FrameType.datagram.rawValue {
        deliver(
          header.flow, payloadStart &+ start..<payloadStart &+ end, from: index, to: &datagrams,
          at: now)
      } else {
        receiveControl(
          header, payload.extracting(start..<end), on: index, replies: &replies, at: now)
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
    if channels[index].liveness.heard(at: now) || isConfirmation {
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
