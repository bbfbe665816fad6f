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

/// A run of segments while it is being put together. Small frames share a segment, as many as there is
/// room for: the first segment takes what fits the channel, each one behind it as much as the first.
struct OpenRun {
  let channel: Int
  /// Bytes that the channel's window and an IP packet have room for.
  let room: Int
  let limit: Int
  /// The most bytes of one segment.
  let segmentLimit: Int
  private(set) var segmentSize = 0
  private(set) var total = 0
  private(set) var count = 0
  /// The bytes of the newest segment.
  private var last = 0

  init(channel: Int, room: Int, limit: Int, segmentLimit: Int) {
    self.channel = channel
    self.room = min(room, SegmentBatch.runPayloadLimit)
    self.limit = limit
    self.segmentLimit = segmentLimit
  }

  /// Whether a frame of `size` bytes can be next.
  @inline(__always)
  func accepts(_ size: Int) -> Bool { total &+ size <= room && (joins(size) || begins(size)) }

  /// Whether it fits into the newest segment.
  @inline(__always)
  func joins(_ size: Int) -> Bool {
    count > 0 && last &+ size <= (count == 1 ? segmentLimit : segmentSize)
  }

  /// Whether another segment can begin with it: only the last one is shorter.
  @inline(__always)
  private func begins(_ size: Int) -> Bool {
    count < limit && (count == 0 || last == segmentSize && size <= segmentSize)
  }

  mutating func add(_ size: Int) {
    if joins(size) {
      last &+= size
    } else {
      last = size
      count &+= 1
    }
    if count == 1 { segmentSize = last }
    total &+= size
  }
}

extension TunnelEngine {
  /// Puts a batch of datagrams on channels. The segments refer to the datagrams' bytes, which are
  /// sealed where they lie, so send them before the batch is filled again.
  public mutating func encapsulate(
    _ datagrams: inout PacketBatch, from origin: DatagramOrigin,
    into segments: inout SegmentBatch, at now: Instant
  ) {
    var run: OpenRun?
    for index in 0..<datagrams.count {
      let slot = datagrams.slot(index)
      guard let flow = flow(of: slot, origin, at: now) else { continue }
      noteSent(flow, at: now)
      let step = slot.segmentSize > 0 ? slot.segmentSize : max(slot.length, 1)
      var offset = slot.offset
      let end = slot.offset &+ slot.length
      repeat {
        let payload = offset..<min(offset &+ step, end)
        put(payload, of: flow, in: &datagrams, run: &run, into: &segments, at: now)
        offset = payload.upperBound
      } while offset < end
    }
    finish(&run, into: &segments, at: now)
  }

  private mutating func flow(
    of slot: PacketSlot, _ origin: DatagramOrigin, at now: Instant
  ) -> Int? {
    switch origin {
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

  private mutating func put(
    _ payload: Range<Int>, of flow: Int, in datagrams: inout PacketBatch,
    run: inout OpenRun?, into segments: inout SegmentBatch, at now: Instant
  ) {
    let size = frameOverhead &+ payload.count
    let (id, session) = (flows[flow].id, flows[flow].session)
    if run?.accepts(size) != true {
      finish(&run, into: &segments, at: now)
      guard hasCandidate(session) else {
        return hold(datagrams.bytes(payload), flow: id, at: now)
      }
      guard let channel = pickChannel(session, for: size, at: now) else {
        return counters.drop(.windowFull)
      }
      guard size <= channels[channel].segmentSize else {
        let whole = Cuttable(payload: payload, flow: id, session: session)
        return cut(whole, on: channel, in: &datagrams, run: &run, into: &segments, at: now)
      }
      begin(&run, on: channel, into: &segments)
    }
    guard let channel = run?.channel else { return counters.drop(.batchFull) }
    if run?.joins(size) == true { segments.joinSegment() }
    guard
      appendFrame(.datagram, of: id, payload, in: &datagrams, on: channel, into: &segments)
    else { return counters.drop(.batchFull) }
    run?.add(size)
    counters.datagramsSent &+= 1
    channels[channel].sent.datagrams &+= 1
  }

  /// Adds a frame with a datagram, or a piece of one, to the open run; false where the batch is full.
  @inline(__always)
  mutating func appendFrame(
    _ type: FrameType, of flow: UInt16, fragment: FragmentHeader? = nil, _ payload: Range<Int>,
    in datagrams: inout PacketBatch, on index: Int, into segments: inout SegmentBatch
  ) -> Bool {
    guard let number = channels[index].cipher?.nextLowNumber else {
      let prefix = fragment == nil ? 0 : FragmentHeader.byteCount
      let header = channels[index].nextFrame(type, length: prefix &+ payload.count, flow: flow)
      guard segments.appendFrame(header, fragment: fragment, payload: payload) else { return false }
      channels[index].delivery.sent.add(FrameHeader.byteCount &+ Int(header.length))
      return true
    }
    guard
      let place = segments.appendSealed(
        type, flow: flow, number: number, fragment: fragment, payload: payload)
    else { return false }
    channels[index].cipher?.seal(place, in: &segments, &datagrams)
    channels[index].delivery.sent.add(place.byteCount)
    return true
  }

  /// Adds a frame whose payload is copied to the open run; false where the batch is full.
  mutating func appendFrame(
    _ type: FrameType, flow: UInt16 = 0, copying payload: RawSpan, on index: Int,
    into segments: inout SegmentBatch
  ) -> Bool {
    guard let number = channels[index].cipher?.nextLowNumber else {
      let header = channels[index].nextFrame(type, length: payload.byteCount, flow: flow)
      guard segments.appendFrame(header, copying: payload) else { return false }
      channels[index].delivery.sent.add(FrameHeader.byteCount &+ payload.byteCount)
      return true
    }
    guard let place = segments.appendSealed(type, flow: flow, number: number, copying: payload)
    else { return false }
    channels[index].cipher?.seal(place, in: &segments)
    channels[index].delivery.sent.add(SealedFrame.overhead &+ payload.byteCount)
    return true
  }

  func begin(_ run: inout OpenRun?, on channel: Int, into segments: inout SegmentBatch) {
    guard beginRun(on: channel, isControl: false, into: &segments) else { return }
    run = OpenRun(
      channel: channel, room: channels[channel].carrier.sendRoom, limit: channels[channel].runLimit,
      segmentLimit: channels[channel].segmentSize)
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
    noteTransmission(on: index, expectsReply: true, at: now)
    noteWear(of: index, into: &segments, at: now)
  }

  /// Bookkeeping for whatever carries frames on a channel.
  mutating func noteTransmission(on index: Int, expectsReply: Bool, at now: Instant) {
    channels[index].acknowledgmentDue = nil
    if expectsReply, let probeAt = channels[index].liveness.sent(at: now) {
      timers.schedule(.channel(index), at: probeAt)
    }
  }

  /// A channel of the session with room for a frame of `size` bytes, or for the first piece of one
  /// that does not fit its segments; nil where every window is full.
  mutating func pickChannel(_ session: Int, for size: Int, at now: Instant) -> Int? {
    let count = sessions[session].candidates.count
    let start = random.below(count)
    for step in 0..<count {
      let index = sessions[session].candidates[(start &+ step) % count]
      if channels[index].carrier.sendRoom >= min(size, channels[index].segmentSize) { return index }
      if channels[index].fullSince == nil {
        channels[index].fullSince = now
        reschedule(index, at: now)
      }
    }
    return nil
  }

  private mutating func hold(_ datagram: RawSpan, flow: UInt16, at now: Instant) {
    guard dialer != nil else { return counters.drop(.noChannel) }
    dropOldHeld(at: now)
    if !held.append(datagram, flow: flow, at: now) { counters.drop(.queueLimit) }
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
      return sendCopy(.datagram, of: entry.flow, bytes, on: index, into: &segments, at: now)
    }
    guard let cut = cut(bytes.byteCount, on: index) else { return .tooLarge }
    let datagram = takeCutNumber(of: channels[index].session)
    for piece in 0..<cut.count {
      let header = FragmentHeader(datagram: datagram, index: piece, cut: cut)
      let payload = header.bytes + entry.bytes[cut.range(of: piece)]
      if let reason = sendCopy(
        .fragment, of: entry.flow, payload.span.octets, on: index, into: &segments, at: now)
      {
        return reason
      }
    }
    return nil
  }

  /// Sends a frame whose payload is copied, in a segment of its own; gives why where that cannot be.
  private mutating func sendCopy(
    _ type: FrameType, of flow: UInt16, _ payload: RawSpan, on index: Int,
    into segments: inout SegmentBatch, at now: Instant
  ) -> DropReason? {
    let size = frameOverhead + payload.byteCount
    guard size <= channels[index].carrier.sendRoom else { return .windowFull }
    var run: OpenRun?
    begin(&run, on: index, into: &segments)
    guard run != nil else { return .batchFull }
    guard appendFrame(type, flow: flow, copying: payload, on: index, into: &segments) else {
      segments.abandonRun()
      return .batchFull
    }
    run?.add(size)
    finish(&run, into: &segments, at: now)
    return nil
  }

  mutating func dropOldHeld(at now: Instant) {
    let expired = held.removeOlder(than: now - HoldQueue.ageLimit)
    for _ in 0..<expired { counters.drop(.heldTooLong) }
  }
}
