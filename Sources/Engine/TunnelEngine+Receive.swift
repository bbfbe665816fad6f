// Wire to app: packets become segments of channels, segments frames, frames datagrams of flows.
//
//   packet ─► IP, TCP, checksum ─► channel by four-tuple ─► sequence ─► frames, opened ─► flow

public import Wire

extension TunnelEngine {
  /// Takes a batch of what came by `medium`: packets, or datagrams of a kernel UDP socket. The datagrams
  /// that come out refer to the batch's bytes, which are opened where they lie, so deliver them before it
  /// is filled again; `replies` is what the protocol answers at once.
  public mutating func decapsulate(
    _ packets: inout PacketBatch, from medium: SegmentMedium = .packets,
    into datagrams: inout DatagramBatch, replies: inout SegmentBatch, at now: Instant
  ) {
    switch medium {
    case .packets: receivePackets(&packets, into: &datagrams, replies: &replies, at: now)
    case .datagrams:
      for index in 0..<packets.count {
        receiveDatagrams(
          packets.slot(index), of: &packets, into: &datagrams, replies: &replies, at: now)
      }
    }
  }

  /// The datagrams of one slot: several where the kernel merged them.
  mutating func receiveDatagrams(
    _ slot: PacketSlot, of packets: inout PacketBatch, into datagrams: inout DatagramBatch,
    replies: inout SegmentBatch, at now: Instant
  ) {
    let origin = Origin(.udp, FourTuple(local: slot.destination, remote: slot.source))
    let step = slot.segmentSize > 0 ? slot.segmentSize : max(slot.length, 1)
    var offset = slot.offset
    let end = slot.offset &+ slot.length
    repeat {
      let range = offset..<min(offset &+ step, end)
      receive(range, from: origin, of: &packets, into: &datagrams, replies: &replies, at: now)
      offset = range.upperBound
    } while offset < end
  }

  private mutating func receivePackets(
    _ packets: inout PacketBatch, into datagrams: inout DatagramBatch,
    replies: inout SegmentBatch, at now: Instant
  ) {
    for index in 0..<packets.count {
      switch sort(packets, index, replies: &replies, at: now) {
      case .segment(let arrival):
        receive(arrival, of: &packets, into: &datagrams, replies: &replies, at: now)
      case .echo(let origin, let payload):
        receive(payload, from: origin, of: &packets, into: &datagrams, replies: &replies, at: now)
      case .done: break
      }
    }
  }

  /// Whether these bytes are an IP packet from one end to the other of one of the channels: such as this
  /// side sends.
  public func hasSent(packet bytes: RawSpan) -> Bool {
    guard let packet = IPPacket(bytes), packet.payload.byteCount >= 12 else { return false }
    if let message = EchoMessage(packet) {
      return hasSent(message, from: packet.source, to: packet.destination)
    }
    let tuple = FourTuple(
      local: Endpoint(packet.source, packet.payload.be16(at: 0)),
      remote: Endpoint(packet.destination, packet.payload.be16(at: 2)))
    switch packet.protocolNumber {
    case 6: return byTuple[tuple] != nil
    case 17:
      // Behind the UDP header.
      return byNumber[packet.payload.be32(at: 8)].map { channels[$0].tuple == tuple } ?? false
    default: return false
    }
  }

  /// A segment of a channel, without what lies in the packet.
  private struct Arrival {
    let channel: Int
    let header: TCPHeader
    /// How many bytes of options lie in front of the payload.
    let optionLength: Int
    /// Where its payload lies in the batch.
    let payload: Range<Int>
    /// What GRO merged, in bytes of payload each; 0 where it merged nothing.
    let mergedSize: Int

    /// How many segments came on the wire.
    var segmentCount: Int {
      guard mergedSize > 0, payload.count > mergedSize else { return 1 }
      return (payload.count &+ mergedSize &- 1) / mergedSize
    }
  }

  /// What a packet turned out to be.
  private enum Finding {
    /// Of fake TCP, on a channel.
    case segment(Arrival)
    /// A tunnel's message on ICMP: where it comes from, and where what it carries lies in the batch.
    case echo(Origin, Range<Int>)
    /// Dealt with: a handshake's, a stranger's, a router's, or dropped.
    case done
  }

  /// Finds out what a packet is; handshakes, strangers and routers are dealt with.
  @inline(__always)
  private mutating func sort(
    _ packets: borrowing PacketBatch, _ index: Int, replies: inout SegmentBatch, at now: Instant
  ) -> Finding {
    let slot = packets.slot(index)
    guard let packet = IPPacket(packets[index]) else {
      counters.drop(.malformed)
      return .done
    }
    guard packet.protocolNumber == 6 else { return sortMessage(packet, in: slot, at: now) }
    guard let segment = TCPSegment(packet.payload) else {
      counters.drop(.malformed)
      return .done
    }
    let tuple = FourTuple(
      local: Endpoint(packet.destination, segment.destinationPort),
      remote: Endpoint(packet.source, segment.sourcePort))
    let channel = channel(of: tuple, segment)
    // Before the checksum, which costs more: another client's segments come by here, too.
    guard channel != nil || listener != nil else {
      counters.drop(.unknownChannel)
      return .done
    }
    guard slot.isChecksumTrusted || TCPSegment.isChecksumValid(of: packet) else {
      counters.drop(.badChecksum)
      return .done
    }
    if let channel, !isHandshake(segment) {
      let start = slot.offset &+ packet.headerLength &+ segment.headerLength
      return .segment(
        Arrival(
          channel: channel, header: segment.header,
          optionLength: segment.headerLength &- TCPHeader.byteCount,
          payload: start..<start &+ segment.payload.byteCount, mergedSize: slot.segmentSize))
    }
    if listener != nil {
      serverReceive(segment, on: tuple, into: &replies, at: now)
    } else if let channel {
      clientReceive(segment, on: channel, into: &replies, at: now)
    }
    return .done
  }

  /// A packet that is not TCP.
  private mutating func sortMessage(
    _ packet: borrowing IPPacket, in slot: PacketSlot, at now: Instant
  ) -> Finding {
    guard !takeTooBig(packet, at: now), let (origin, payload) = takeEcho(packet, in: slot) else {
      return .done
    }
    return .echo(origin, payload)
  }

  /// The channel that a segment is for: the one of its four-tuple, or the one that waits there to be
  /// confirmed, where the segment fits only that.
  @inline(__always)
  private func channel(of tuple: FourTuple, _ segment: borrowing TCPSegment) -> Int? {
    let confirmed = byTuple[tuple]
    guard !unconfirmed.isEmpty, let waiting = unconfirmed[Place(.tcp, tuple)] else {
      return confirmed
    }
    guard let confirmed else { return waiting }
    let isFit = channels[confirmed].tcp?.isAcceptable(
      segment.header, payloadLength: segment.payload.byteCount)
    return isFit == true || segment.flags.contains(.rst) ? confirmed : waiting
  }

  private mutating func receive(
    _ arrival: Arrival, of packets: inout PacketBatch, into datagrams: inout DatagramBatch,
    replies: inout SegmentBatch, at now: Instant
  ) {
    let (index, header, payload) = (arrival.channel, arrival.header, arrival.payload)
    guard !header.flags.contains(.rst) else {
      return receiveReset(
        packets.bytes(payload), sequence: header.sequence, on: index, into: &replies, at: now)
    }
    guard channels[index].state != .synSent, channels[index].state != .helloSent else {
      if header.flags.contains(.fin) {
        warned(index, sequence: header.sequence, into: &replies, at: now)
      }
      return
    }
    guard channels[index].tcp?.isAcceptable(header, payloadLength: payload.count) == true else {
      return counters.drop(.outsideWindow)
    }
    channels[index].received.count(segments: arrival.segmentCount, bytes: payload.count)
    if payload.isEmpty || arrival.optionLength > 0 {
      let options = payload.lowerBound &- arrival.optionLength..<payload.lowerBound
      lookForProxy(header, options: packets.bytes(options), on: index, into: &replies, at: now)
    }
    if channels[index].tcp?.acknowledge(header) == true { channels[index].fullSince = nil }
    let (cut, repeated) = (counters[.truncatedFrame], counters[.repeatedFrame])
    let end = receiveFrames(
      in: payload, from: header.sequence, of: &packets, on: index, into: &datagrams,
      replies: &replies, at: now)
    guard channels.contains(index) else { return }
    if end < payload.upperBound {
      noteUnread(
        header, payload: payload, from: end, isCut: counters[.truncatedFrame] != cut,
        isRepeated: counters[.repeatedFrame] != repeated, on: index, into: &replies, at: now)
    }
    if end > payload.lowerBound {
      let length = UInt32(truncatingIfNeeded: end &- payload.lowerBound)
      channels[index].tcp?.received(upTo: header.sequence &+ length)
      noteHeard(on: index, into: &replies, at: now)
    }
    if header.flags.contains(.fin) {
      receiveFin(header, payloadLength: payload.count, on: index, into: &replies, at: now)
    }
    acknowledgeIfMuch(index, into: &replies)
    noteWear(of: index, into: &replies, at: now)
  }

  /// Whether the segment belongs to the opening of a channel: it has SYN, or carries a Hello.
  private func isHandshake(_ segment: borrowing TCPSegment) -> Bool {
    segment.flags.contains(.syn)
      || segment.payload.byteCount >= HandshakeRecord.headerByteCount + Hello.byteCount
        && segment.payload.byte(at: 0) == HandshakeRecord.type
  }

  /// Gives each frame of a payload to who it is for. Returns where the last valid one ends, the
  /// payload's start where there is none. A channel that cannot be confirmed is gone then. On TCP the payload
  /// begins at `sequence`.
  mutating func receiveFrames(
    in payload: Range<Int>, from sequence: UInt32 = 0, of packets: inout PacketBatch, on index: Int,
    into datagrams: inout DatagramBatch, replies: inout SegmentBatch, at now: Instant
  ) -> Int {
    var offset = payload.lowerBound
    var validEnd = offset
    channels[index].hasAnswered = false
    while let frame = sealsFrames
      ? openFrame(at: offset, before: payload.upperBound, in: &packets, on: index)
      : takeFrame(at: offset, before: payload.upperBound, in: packets, on: index)
    {
      offset = frame.end
      guard let type = frame.type else { continue }
      validEnd = frame.end
      if channels[index].state == .unconfirmed, !confirm(index, into: &replies, at: now) {
        return validEnd
      }
      switch type {
      case .datagram:
        oweReport(on: index, at: now)
        deliver(frame.flow, frame.payload, from: index, to: &datagrams, at: now)
      case .copy:
        oweReport(on: index, at: now)
        if let payload = takeCopy(frame.payload, of: packets, from: index, at: now) {
          deliver(frame.flow, payload, from: index, to: &datagrams, at: now)
        }
      case .fragment:
        oweReport(on: index, at: now)
        receiveFragment(
          packets.bytes(frame.payload), of: frame.flow, from: index, to: &datagrams, at: now)
      default:
        // So that what answers it acknowledges it.
        let length = UInt32(truncatingIfNeeded: frame.end &- payload.lowerBound)
        channels[index].tcp?.received(upTo: sequence &+ length)
        receiveControl(
          type, packets.bytes(frame.payload), on: index, replies: &replies, at: now)
      }
    }
    if offset < payload.upperBound { counters.drop(.truncatedFrame) }
    return validEnd
  }

  /// A frame as it lies in a packet batch.
  private struct ReceivedFrame {
    /// Nil where the frame is not valid.
    var type: FrameType?
    var flow: UInt16 = 0
    var payload = 0..<0
    /// Where the next one starts.
    let end: Int
  }

  /// The plain frame at `offset`; nil where there is no whole one.
  @inline(__always)
  private mutating func takeFrame(
    at offset: Int, before end: Int, in packets: borrowing PacketBatch, on index: Int
  ) -> ReceivedFrame? {
    guard let header = FrameHeader(parsing: packets.bytes(offset..<end), at: 0) else { return nil }
    let start = offset &+ FrameHeader.byteCount
    let payload = start..<start &+ Int(header.length)
    guard payload.upperBound <= end else { return nil }
    guard channels[index].incoming.accept(header.number) else {
      counters.drop(.repeatedFrame)
      return ReceivedFrame(end: payload.upperBound)
    }
    channels[index].reception.tally.add(FrameHeader.byteCount &+ payload.count)
    return ReceivedFrame(
      type: knownType(header.type), flow: header.flow, payload: payload, end: payload.upperBound)
  }

  /// The sealed frame at `offset`, opened where it lies; nil where there is no whole one.
  @inline(__always)
  private mutating func openFrame(
    at offset: Int, before end: Int, in packets: inout PacketBatch, on index: Int
  ) -> ReceivedFrame? {
    guard let sealed = SealedFrame(parsing: packets.bytes(offset..<end), at: 0) else { return nil }
    let next = offset &+ sealed.byteCount
    guard let failure = channels[index].cipher?.open(sealed, at: offset, in: &packets) else {
      channels[index].reception.tally.add(sealed.byteCount)
      let start = offset &+ SealedFrame.headerByteCount
      let head = packets.bytes(offset &+ SealedFrame.clearByteCount..<start)
      return ReceivedFrame(
        type: knownType(head.byte(at: 0)), flow: head.be16(at: 1),
        payload: start..<start &+ sealed.payloadLength, end: next)
    }
    counters.drop(failure)
    return ReceivedFrame(end: next)
  }

  private mutating func knownType(_ rawValue: UInt8) -> FrameType? {
    let type = FrameType(rawValue: rawValue)
    if type == nil { counters.drop(.unknownFrame) }
    return type
  }

  private mutating func deliver(
    _ id: UInt16, _ payload: Range<Int>, from channel: Int, to datagrams: inout DatagramBatch,
    at now: Instant
  ) {
    guard let (index, destination) = receiver(id, of: channels[channel].session, at: now) else {
      return
    }
    guard datagrams.append(flow: index, destination: destination, payload: payload) else {
      return counters.drop(.batchFull)
    }
    counters.datagramsReceived &+= 1
    self.channels[channel].received.datagrams &+= 1
  }

  /// Who a datagram of a session is for: the flow with this id, which is active, and its app.
  @inline(__always)
  mutating func receiver(
    _ id: UInt16, of session: Int, at now: Instant
  ) -> (flow: Int, destination: Endpoint)? {
    guard let index = flows.index(session: session, id: id) ?? newFlow(id, of: session, at: now)
    else { return nil }
    flows[index].lastActive = now
    sessions[session].lastActive = now
    if dialer?.isResting == true { wake(at: now) }
    return (index, flows[index].endpoint ?? Endpoint(.any, 0))
  }

  /// A frame came that the peer wants to hear of.
  @inline(__always)
  mutating func oweReport(on index: Int, at now: Instant) {
    let interval = channels[index].liveness.reportInterval
    if let due = channels[index].reception.owe(after: interval, at: now) {
      timers.schedule(.channel(index), at: due)
    }
  }

  /// A valid frame came on the channel: the peer is alive, and is owed an acknowledgment.
  mutating func noteHeard(
    on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    let isNews = channels[index].liveness.heard(at: now)
    if isNews && channels[index].state == .open {
      becameHealthy(index, into: &segments, at: now)
    }
    if channels[index].acknowledgmentDue == nil {
      let due = Instant(nanoseconds: now.nanoseconds &+ TunnelEngine.acknowledgmentDelay)
      channels[index].acknowledgmentDue = due
      timers.schedule(.channel(index), at: due)
    }
  }
}
