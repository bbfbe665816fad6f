// Flows that are spread because one channel is not enough, and still lose, are sent evenly: what comes in clumps
// waits for a moment, rather than being dropped on the way.
//
//   batch ─► spread, and no channel may send yet ─► queue ─► a channel may send ─► run
//
// Flows that are not spread never wait; what they send counts on their channel.

internal import Wire

// How fast.
extension TunnelEngine {
  /// Follows what is sent of what is spread. What all channels lose begins it.
  mutating func adjustPace(_ session: Int, _ losses: Losses, at now: Instant) {
    guard hasCandidate(session) else { return }
    if sessions[session].scheduler.pace != nil {
      let load = channels[leastLoaded(session)].standing.load
      sessions[session].scheduler.pace?.measure(load: load, at: now)
    } else if sessions[session].scheduler.mayPace(at: now),
      losses.sent >= 16 * sessions[session].scheduler.chosen.count,
      losses.common > Double(losses.sent) * Scheduler.lossLimit, pacedCount < limits.pacedSessions
    {
      beginPace(session, at: now)
    }
  }

  private mutating func beginPace(_ session: Int, at now: Instant) {
    let load = channels[leastLoaded(session)].standing.load
    let start = sessions[session].scheduler.spreadAt
    sessions[session].scheduler.pace = Pace(load: load, since: start, at: now)
    sessions[session].waiting = PacedQueue()
    pacedCount += 1
    // Losses of clumps say nothing of what is lost from now on.
    for index in sessions[session].channels { channels[index].standing.forgetLosses() }
  }

  /// The session has one flow less that is spread. The last one ends the pace; what still waits goes at once.
  mutating func endSpread(_ session: Int, at now: Instant) {
    sessions[session].scheduler.spreadCount -= 1
    guard !sessions[session].scheduler.isSpread, sessions[session].scheduler.pace != nil else {
      return
    }
    sessions[session].scheduler.pace = nil
    pacedCount -= 1
    timers.schedule(.pacing(session), at: now)
  }

  /// What a channel of share 1 may carry now, in bytes; less than 0 where each has carried too much.
  private mutating func pacedRoom(_ session: Int, at now: Instant) -> Double {
    let load = channels[leastLoaded(session)].standing.load
    return sessions[session].scheduler.pace?.room(above: load, at: now) ?? .greatestFiniteMagnitude
  }

  /// The most bytes of a run of the flow that the pace lets a channel send at once.
  @inline(__always)
  mutating func pacedLimit(of channel: Int, for flow: Int, at now: Instant) -> Int {
    guard isPaced(flow) else { return .max }
    let room = max(0, pacedRoom(flows[flow].session, at: now)) * channels[channel].standing.share
    return Int(room) &+ channels[channel].segmentSize
  }

  @inline(__always)
  private func isPaced(_ flow: Int) -> Bool {
    flows[flow].course.isSpread && sessions[flows[flow].session].scheduler.pace != nil
  }
}

// Waiting.
extension TunnelEngine {
  /// Whether a datagram of the flow that would begin a run waits. It does not where there is no room for it.
  @inline(__always)
  mutating func waits(
    _ datagram: OutgoingDatagram, in datagrams: borrowing PacketBatch, at now: Instant
  ) -> Bool {
    guard isPaced(datagram.flow), !datagram.hasWaited else { return false }
    let session = flows[datagram.flow].session
    let isFirst = sessions[session].waiting?.first == nil
    guard !isFirst || pacedRoom(session, at: now) <= 0,
      sessions[session].waiting?.append(
        datagrams.bytes(datagram.payload), of: datagram.flow, datagram.id) == true
    else { return false }
    if isFirst { lookAtWaiting(of: session, at: now) }
    return true
  }

  /// Looks at what waits when some of it may go, at once a millisecond at most.
  private mutating func lookAtWaiting(of session: Int, at now: Instant) {
    guard hasCandidate(session) else {
      return timers.schedule(.pacing(session), at: now + .milliseconds(50))
    }
    let shares = sessions[session].scheduler.chosen.reduce(0) { $0 + channels[$1].standing.share }
    let queued = Double(sessions[session].waiting?.byteCount ?? 0)
    sessions[session].scheduler.pace?.note(backlog: queued / max(shares, 1))
    let room = pacedRoom(session, at: now)
    let wait = sessions[session].scheduler.pace?.wait(for: room) ?? .zero
    timers.schedule(.pacing(session), at: now + max(.milliseconds(1), wait))
  }

  /// Sends what has waited long enough, in order.
  mutating func sendWaiting(of session: Int, into segments: inout SegmentBatch, at now: Instant) {
    guard sessions.contains(session), var queue = sessions[session].waiting.take() else { return }
    var run: OpenRun?
    while segments.hasRoom, let next = queue.first {
      if flows.contains(next.flow), flows[next.flow].session == session,
        flows[next.flow].id == next.id
      {
        guard mayGo(next, run: &run, into: &segments, at: now) else { break }
        let datagram = OutgoingDatagram(
          payload: next.payload, flow: next.flow, id: next.id, copy: nil, hasWaited: true)
        put(datagram, in: &queue.memory, run: &run, into: &segments, at: now)
      } else {
        counters.drop(.unknownFlow)
      }
      queue.removeFirst()
    }
    finish(&run, into: &segments, at: now)
    let isDone = queue.first == nil
    if !isDone || sessions[session].scheduler.pace != nil {
      sessions[session].waiting = consume queue
    }
    if isDone {
      sessions[session].scheduler.pace?.note(backlog: 0)
    } else {
      lookAtWaiting(of: session, at: now)
    }
  }

  /// Whether the pace lets a datagram go: in the open run, or in another one.
  private mutating func mayGo(
    _ entry: PacedQueue.Entry, run: inout OpenRun?, into segments: inout SegmentBatch,
    at now: Instant
  ) -> Bool {
    if run?.flow == entry.flow, run?.accepts(frameOverhead &+ entry.payload.count) == true {
      return true
    }
    finish(&run, into: &segments, at: now)
    return !isPaced(entry.flow) || !hasCandidate(flows[entry.flow].session)
      || pacedRoom(flows[entry.flow].session, at: now) > 0
  }
}
