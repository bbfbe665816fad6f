// Time: what is due is done, and each channel says when it wants to be looked at again.

public import Wire

extension TunnelEngine {
  /// A server forgets a channel on which nothing was heard for so long; a client's idle channels
  /// are heard every 5 minutes.
  static let deafTime = Duration.seconds(660)
  /// A server forgets a silent channel so soon where the session has healthy ones.
  static let silentTime = Duration.seconds(60)
  /// A server forgets a channel whose client did not speak after the Hellos.
  static let confirmationTime = Duration.seconds(10)

  /// Does what is due at `now`; call when `nextDeadline` has come, and again while it has: what finds
  /// the batch full stays due.
  public mutating func advance(to now: Instant, into segments: inout SegmentBatch) {
    while segments.hasRoom, let key = timers.popDue(at: now) {
      switch key {
      case .channel(let index):
        service(index, at: now, into: &segments)
        if channels.contains(index) { reschedule(index, at: now) }
      case .flow(let index): expireFlow(index, at: now)
      case .session(let index): expireSession(index, at: now)
      case .pacing(let index): sendWaiting(of: index, into: &segments, at: now)
      case .reassembly:
        if let next = reassembly.expire(at: now, &counters) {
          timers.schedule(.reassembly, at: next)
        }
      case .race: continueRace(at: now)
      case .dialer:
        tickDialer(at: now, into: &segments)
        scheduleDialer(at: now)
      }
    }
  }

  /// Puts the channel's next deadline into the queue.
  mutating func reschedule(_ index: Int, at now: Instant) {
    let deadline = deadline(of: index, at: now)
    timers.schedule(.channel(index), at: deadline)
  }

  private func deadline(of index: Int, at now: Instant) -> Instant {
    guard channels[index].state == .open else { return channels[index].retryAt }
    let interval = silentInterval(channels[index].session, at: now)
    let probeAt = channels[index].liveness.deadline(silentInterval: interval)
    let usedUntil =
      dialer == nil ? forgetAt(index) : min(channels[index].keepaliveAt, channels[index].rotateAt)
    let reportAt = channels[index].reception.reportDue ?? .distantFuture
    let acknowledgeAt = min(reportAt, channels[index].acknowledgmentDue ?? .distantFuture)
    let idleAt = min(usedUntil, coolAt(index))
    let nearest = min(min(acknowledgeAt, rewindAt(index)), min(probeAt, idleAt))
    return min(nearest, channels[index].sizing.deadline)
  }

  private func rewindAt(_ index: Int) -> Instant {
    guard let since = channels[index].fullSince else { return .distantFuture }
    return since + channels[index].liveness.roundTrip.timeout
  }

  /// When a NAT may have forgotten the channel's mapping: a little before it has, for what is sent then has
  /// to reach it in time.
  private func coolAt(_ index: Int) -> Instant {
    guard channels[index].liveness.health == .healthy else { return .distantFuture }
    return channels[index].liveness.lastHeard + channels[index].kind.natMemory - .seconds(2)
  }

  private func forgetAt(_ index: Int) -> Instant {
    let isSpare =
      channels[index].liveness.health == .silent
      && sessions[channels[index].session].health == .healthy
    return channels[index].liveness.lastHeard + (isSpare ? Self.silentTime : Self.deafTime)
  }

  /// How often a silent channel is probed: often while the app is waiting.
  private func silentInterval(_ session: Int, at now: Instant) -> Duration {
    isActive(session, at: now) ? .seconds(1) : Dialer.longestPause
  }

  /// Whether an app of the session has sent of late.
  func isActive(_ session: Int, at now: Instant) -> Bool {
    now - sessions[session].lastSent < Dialer.activeFor
  }

  private mutating func service(
    _ index: Int, at now: Instant, into segments: inout SegmentBatch
  ) {
    switch channels[index].state {
    case .synSent, .helloSent, .closing:
      if channels[index].retryAt <= now { retry(index, at: now, into: &segments) }
    case .unconfirmed, .lingering:
      if channels[index].retryAt <= now { removeChannel(index, at: now) }
    case .open: serviceOpen(index, at: now, into: &segments)
    }
  }

  private mutating func serviceOpen(
    _ index: Int, at now: Instant, into segments: inout SegmentBatch
  ) {
    if dialer == nil && forgetAt(index) <= now { return removeChannel(index, at: now) }
    if coolAt(index) <= now, channels[index].liveness.cool() {
      markStale(channels[index].session)
    }
    if rewindAt(index) <= now {
      rewind(index, into: &segments, at: now)
    }
    if let due = channels[index].reception.reportDue, due <= now {
      sendReport(on: index, into: &segments, at: now)
    }
    if let due = channels[index].acknowledgmentDue, due <= now {
      if let tcp = channels[index].tcp, tcp.unacknowledgedBytes > 0 {
        sendAcknowledgment(on: index, into: &segments)
      }
      channels[index].acknowledgmentDue = nil
    }
    if dialer != nil && channels[index].keepaliveAt <= now {
      keepAlive(index, at: now, into: &segments)
    }
    if channels[index].rotateAt <= now {
      channels[index].rotateAt = .distantFuture
      rotate(index, at: now)
    }
    guard channels[index].state == .open else { return }
    if channels[index].sizing.deadline <= now { probeSize(index, into: &segments, at: now) }
    let interval = silentInterval(channels[index].session, at: now)
    if channels[index].liveness.deadline(silentInterval: interval) <= now {
      probe(index, at: now, into: &segments)
    }
  }

  /// The window stayed full for a probe timeout. Where it is closed even so, a probe finds out
  /// whether it still is (RFC 9293, section 3.8.6.1).
  private mutating func rewind(
    _ index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    channels[index].fullSince = nil
    channels[index].tcp?.rewind()
    if channels[index].sendRoom <= 0 { sendProbe(on: index, into: &segments, at: now) }
  }

  private mutating func probe(_ index: Int, at now: Instant, into segments: inout SegmentBatch) {
    let was = channels[index].liveness.health
    let verdict = channels[index].liveness.probe(at: now)
    if channels[index].liveness.health != was { markStale(channels[index].session) }
    switch verdict {
    case .sendProbe: sendProbe(on: index, into: &segments, at: now)
    case .becameSilent: becameSilent(index, into: &segments, at: now)
    }
  }

  /// Sends the segment of a handshake or close again, after 0.3, 0.6 and 1.2 s; then gives up.
  private mutating func retry(_ index: Int, at now: Instant, into segments: inout SegmentBatch) {
    guard channels[index].attempts < 4 else { return removeChannel(index, at: now) }
    switch channels[index].state {
    case .synSent:
      // Without a token the hint may be the reason.
      if channels[index].numbered != nil, channels[index].attempts == 3 { doubtClock(after: index) }
      sendOpening(on: index, into: &segments, at: now)
    case .helloSent:
      if channels[index].attempts == 3 { doubtClock(after: index) }
      sendHello(on: index, into: &segments)
    case .closing: sendClose(on: index, into: &segments, at: now)
    case .unconfirmed, .open, .lingering: return
    }
    retryLater(index, at: now)
  }

  /// Notes that the segment of this state was sent once more.
  mutating func retryLater(_ index: Int, at now: Instant) {
    let pause = Duration.milliseconds(300 << channels[index].attempts)
    channels[index].attempts += 1
    channels[index].retryAt = now + pause
    reschedule(index, at: now)
  }

  /// The flow's idle time: a client's is longer, so that the server releases a flow first.
  private var flowTimeout: Duration {
    dialer == nil ? configuration.idleTimeout : configuration.idleTimeout * 5 / 4
  }

  mutating func addFlow(_ flow: Flow, at now: Instant) -> Int {
    let index = flows.insert(flow)
    sessions[flow.session].flowCount += 1
    timers.schedule(.flow(index), at: now + flowTimeout)
    return index
  }

  private mutating func expireFlow(_ index: Int, at now: Instant) {
    let end = flows[index].lastActive + flowTimeout
    guard end <= now else {
      return timers.schedule(.flow(index), at: end)
    }
    removeFlow(index, at: now)
  }

  mutating func removeFlow(_ index: Int, at now: Instant) {
    let flow = flows[index]
    sessions[flow.session].flowCount -= 1
    forgetCourse(of: flow, at: now)
    flows.remove(index)
    timers.cancel(.flow(index))
    if dialer != nil {
      flowIDs.release(flow.id, restingUntil: now + configuration.idleTimeout * 2)
    }
    events.append(.flowClosed(flow: index))
  }
}
