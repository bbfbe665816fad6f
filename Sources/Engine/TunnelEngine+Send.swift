// App to wire: datagrams become frames, frames become runs of segments on channels.
//
//   datagram ─► flow ─► scheduler picks the channel, per run ─► frame ─► TCP header, per run

public import Wire

/// Where the datagrams of a batch come from.
public enum DatagramOrigin: Sendable {
  /// Client: from apps, told apart by the source of each datagram.
  case apps
  /// Server: from the target, on the socket of this flow.
  case flow(Int)
}

extension TunnelEngine {
  /// Puts a batch of datagrams on channels. The segments refer to the datagrams' bytes, which are
  /// sealed where they lie, so send them before the batch is filled again.
  public mutating func encapsulate(
    _ datagrams: inout PacketBatch, from origin: DatagramOrigin,
    into segments: inout SegmentBatch, at now: Instant
  ) {
    if let session = session(of: origin), sessions[session].scheduler.schedule == .redundant {
      encapsulateTwice(&datagrams, from: origin, of: session, into: &segments, at: now)
    } else {
      encapsulate(&datagrams, from: origin, in: nil, into: &segments, at: now)
    }
  }

  private func session(of origin: DatagramOrigin) -> Int? {
    switch origin {
    case .apps: 0
    case .flow(let index): flows.contains(index) ? flows[index].session : nil
    }
  }

  /// Puts a batch of datagrams on channels, or in one turn of a redundant session a copy of each.
  mutating func encapsulate(
    _ datagrams: inout PacketBatch, from origin: DatagramOrigin, in turn: Copy.Turn?,
    into segments: inout SegmentBatch, at now: Instant
  ) {
    var run: OpenRun?
    for index in 0..<datagrams.count {
      let slot = datagrams.slot(index)
      guard let flow = flow(of: slot, origin, in: turn, at: now) else { continue }
      noteSent(flow, at: now)
      let id = flows[flow].id
      let step = slot.segmentSize > 0 ? slot.segmentSize : max(slot.length, 1)
      var offset = slot.offset
      let end = slot.offset &+ slot.length
      repeat {
        let payload = offset..<min(offset &+ step, end)
        let copy = turn.map { Copy(turn: $0, datagram: takeNumber(of: flows[flow].session)) }
        let outgoing = OutgoingDatagram(payload: payload, flow: flow, id: id, copy: copy)
        put(outgoing, in: &datagrams, run: &run, into: &segments, at: now)
        offset = payload.upperBound
      } while offset < end
    }
    finish(&run, into: &segments, at: now)
  }

  private mutating func flow(
    of slot: PacketSlot, _ origin: DatagramOrigin, in turn: Copy.Turn?, at now: Instant
  ) -> Int? {
    switch origin {
    // The first turn has made the flow, or counted why there is none.
    case .apps where turn == .second: return flows.index(endpoint: slot.source)
    case .apps: return clientFlow(of: slot.source, at: now)
    case .flow(let index): return flows.contains(index) ? index : nil
    }
  }

  private mutating func noteSent(_ flow: Int, at now: Instant) {
    flows[flow].lastActive = now
    let session = flows[flow].session
    sessions[session].lastActive = now
    if dialer != nil { clientAppSent(at: now) }
    sessions[session].lastSent = now
  }

  mutating func put(
    _ datagram: OutgoingDatagram, in datagrams: inout PacketBatch, run: inout OpenRun?,
    into segments: inout SegmentBatch, at now: Instant
  ) {
    let prefix = datagram.prefix
    let size = frameOverhead &+ prefix.byteCount &+ datagram.payload.count
    let flow = datagram.flow
    let hasRoom = run?.accepts(size) == true
    if !hasRoom || run?.flow != flow && !mayJoin(run?.channel, flow, at: now) {
      finish(&run, into: &segments, at: now)
      guard hasCandidate(flows[flow].session) else {
        return hold(datagram, in: datagrams, at: now)
      }
      if waits(datagram, in: datagrams, at: now) { return }
      guard let channel = pickChannel(for: datagram, size, at: now) else {
        return counters.drop(.windowFull)
      }
      guard size <= channels[channel].segmentSize else {
        return cut(datagram, on: channel, in: &datagrams, run: &run, into: &segments, at: now)
      }
      begin(&run, on: channel, for: flow, into: &segments, at: now)
    }
    guard add(datagram, prefix, in: &datagrams, to: &run, into: &segments) else {
      return counters.drop(.batchFull)
    }
    count(datagram, on: run?.channel)
  }

  /// Counts a datagram that was sent, once; its channels count each copy.
  @inline(__always)
  mutating func count(_ datagram: OutgoingDatagram, on channel: Int?) {
    if datagram.copy?.turn != .second { counters.datagramsSent &+= 1 }
    if let channel { channels[channel].sent.datagrams &+= 1 }
  }

  /// Adds a frame with a datagram, or a piece of one, to the open run; false where there is none, or the
  /// batch is full.
  @inline(__always)
  mutating func add(
    _ datagram: OutgoingDatagram, _ prefix: FramePrefix, in datagrams: inout PacketBatch,
    to run: inout OpenRun?, into segments: inout SegmentBatch
  ) -> Bool {
    guard let index = run?.channel else { return false }
    let size = frameOverhead &+ prefix.byteCount &+ datagram.payload.count
    if run?.joins(size) == true { segments.joinSegment() }
    guard appendFrame(datagram, prefix, in: &datagrams, on: index, into: &segments) else {
      return false
    }
    run?.add(size)
    return true
  }

  /// The payload is sealed where it lies. That of a first copy is copied before: the second copy needs it
  /// as it is. So is what was held back.
  @inline(__always)
  private mutating func appendFrame(
    _ datagram: OutgoingDatagram, _ prefix: FramePrefix, in datagrams: inout PacketBatch,
    on index: Int, into segments: inout SegmentBatch
  ) -> Bool {
    let payload = datagram.payload
    let isCopied = datagram.hasWaited || sealsFrames && datagram.copy?.turn == .first
    guard !isCopied else {
      return appendFrame(
        prefix.type, prefix, flow: datagram.id, copying: datagrams.bytes(payload), on: index,
        into: &segments)
    }
    guard let number = channels[index].cipher?.nextLowNumber else {
      let header = channels[index].nextFrame(
        prefix.type, length: prefix.byteCount &+ payload.count, flow: datagram.id)
      guard segments.appendFrame(header, prefix: prefix, payload: payload) else { return false }
      channels[index].delivery.sent.add(FrameHeader.byteCount &+ Int(header.length))
      return true
    }
    guard
      let place = segments.appendSealed(
        prefix.type, flow: datagram.id, number: number, prefix: prefix, payload: payload)
    else { return false }
    channels[index].cipher?.seal(place, in: &segments, &datagrams)
    channels[index].delivery.sent.add(place.byteCount)
    return true
  }

  /// Adds a frame whose payload is copied to the open run; false where the batch is full.
  mutating func appendFrame(
    _ type: FrameType, _ prefix: FramePrefix = .whole, flow: UInt16 = 0, copying payload: RawSpan,
    on index: Int, into segments: inout SegmentBatch
  ) -> Bool {
    guard let number = channels[index].cipher?.nextLowNumber else {
      let header = channels[index].nextFrame(
        type, length: prefix.byteCount &+ payload.byteCount, flow: flow)
      guard segments.appendFrame(header, prefix: prefix, copying: payload) else { return false }
      channels[index].delivery.sent.add(FrameHeader.byteCount &+ Int(header.length))
      return true
    }
    guard
      let place = segments.appendSealed(
        type, flow: flow, number: number, prefix: prefix, copying: payload)
    else { return false }
    channels[index].cipher?.seal(place, in: &segments)
    channels[index].delivery.sent.add(place.byteCount)
    return true
  }

  mutating func begin(
    _ run: inout OpenRun?, on channel: Int, for flow: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard beginRun(on: channel, isControl: false, into: &segments) else { return }
    let paced = pacedLimit(of: channel, for: flow, at: now)
    run = OpenRun(
      channel: channel, flow: flow, room: min(channels[channel].sendRoom, paced),
      limit: channels[channel].runLimit, segmentLimit: channels[channel].segmentSize)
  }

  mutating func finish(
    _ run: inout OpenRun?, into segments: inout SegmentBatch, at now: Instant
  ) {
    guard let done = run else { return }
    run = nil
    guard done.count > 0 else { return segments.abandonRun() }
    let index = done.channel
    segments.setSegmentSize(done.segmentSize)
    finishRun(
      on: index, payloadLength: done.total, segmentCount: done.count, into: &segments)
    channels[index].standing.carried(done.total)
    noteTransmission(on: index, expectsReply: true, at: now)
    noteSize(of: done, at: now)
    noteWear(of: index, into: &segments, at: now)
  }

  /// Bookkeeping for whatever carries frames on a channel.
  mutating func noteTransmission(on index: Int, expectsReply: Bool, at now: Instant) {
    channels[index].acknowledgmentDue = nil
    if expectsReply, let probeAt = channels[index].liveness.sent(at: now) {
      timers.schedule(.channel(index), at: probeAt)
    }
  }

  /// The channel for a run that begins with this datagram, a frame of `size` bytes, or with its first
  /// piece: the one that the scheduler prefers, or another one that has room. Nil where none has.
  mutating func pickChannel(
    for datagram: OutgoingDatagram, _ size: Int, at now: Instant
  ) -> Int? {
    let isSecond = datagram.copy?.turn == .second
    let preferred =
      isSecond ? second(for: datagram.flow, at: now) : prefer(for: datagram.flow, at: now)
    if hasRoom(preferred, for: size, at: now) { return preferred }
    let session = flows[datagram.flow].session
    let count = sessions[session].candidates.count
    let start = random.below(count)
    for step in 0..<count {
      let index = sessions[session].candidates[(start &+ step) % count]
      if hasRoom(index, for: size, at: now) { return index }
    }
    return nil
  }

  /// Whether the channel's window has room for so many bytes, or for a whole segment of them. A full one
  /// is looked at again later.
  private mutating func hasRoom(_ index: Int, for size: Int, at now: Instant) -> Bool {
    if channels[index].sendRoom >= min(size, channels[index].segmentSize) { return true }
    if channels[index].fullSince == nil {
      channels[index].fullSince = now
      reschedule(index, at: now)
    }
    return false
  }
}
