// What only a client does: decide when to dial, keep idle channels alive, give apps their flows.
// Its side of a channel's opening is in Handshake/ClientHandshake.

public import Wire

// When to dial.
extension TunnelEngine {
  /// Tells that the way to the server may have changed: link, route or address. Dials at once where
  /// nothing is heard, asks every channel whether it still is, and leaves those whose address is not the one
  /// that packets to the server have now.
  public mutating func networkChanged(leaving left: [Int] = [], at now: Instant) {
    for index in Array(channels.indices) where channels[index].state == .open {
      ask(index, at: now)
    }
    dialer?.pause = .seconds(1)
    dialer?.forgetFailures()
    for index in left where channels.contains(index) { leave(index, at: now) }
    if !hasCandidate(0) || sessions[0].health == .silent { tickDialerSoon(at: now) }
  }

  /// Dials a replacement at once. As soon as one is open the server hears that this channel is not to be used,
  /// for nothing else would tell it: each of its flows would try the dead ones in turn.
  private mutating func leave(_ index: Int, at now: Instant) {
    let slot = channels[index].slot
    if channels[index].isDialling {
      abandonDial(index, at: now)
    } else if channels[index].state == .open {
      addSuspect(index)
      if dialer?.slots[slot].channel == index { dialer?.slots[slot].isSuspect = true }
    } else {
      return
    }
    if dialer?.slots[slot].pending == 0 { dialer?.slots[slot].lastDial = nil }
    dialMissing(at: now)
    scheduleDialer(at: now)
  }

  /// Opens every channel anew. Each carries datagrams until its replacement is up.
  public mutating func reconnect(at now: Instant) {
    guard let dialer else { return }
    if dialer.isResting { wake(at: now) }
    dialMissing(at: now)
    for channel in dialer.slots.compactMap(\.channel) { replace(channel, at: now) }
  }

  mutating func clientAppSent(at now: Instant) {
    if dialer?.isResting == true { wake(at: now) }
    if sessions[0].health == .silent, !isActive(0, at: now) {
      dialer?.pause = .seconds(1)
      tickDialerSoon(at: now)
    }
  }

  /// Something passes again: the channels that were let be are probed, the closed ones opened.
  mutating func wake(at now: Instant) {
    dialer?.isResting = false
    for index in sessions[0].channels where channels[index].state == .open {
      keepAliveSoon(index, at: now)
    }
    guard dialer?.isParked == true else { return }
    dialer?.isParked = false
    dialMissing(at: now)
    scheduleDialer(at: now)
  }

  /// Dials for every slot that has no channel and no dial under way.
  mutating func dialMissing(at now: Instant) {
    guard let dialer else { return }
    for (slot, state) in dialer.slots.enumerated()
    where dialer.wantsChannel(state) && state.pending == 0 {
      requestDial(slot, at: now)
    }
  }

  /// Dials a replacement for a channel that still is its slot's own, until there is one.
  mutating func replace(_ index: Int, at now: Instant) {
    let slot = channels[index].slot
    guard dialer?.slots[slot].channel == index else { return }
    dialer?.slots[slot].isSuspect = true
    if dialer?.slots[slot].pending == 0 { requestDial(slot, at: now) }
    scheduleDialer(at: now)
  }

  private mutating func requestDial(
    _ slot: Int, isOutage: Bool = false, at now: Instant
  ) {
    guard let dialer else { return }
    let pause = isOutage ? Dialer.shortestPause : dialer.slots[slot].pause
    if let last = dialer.slots[slot].lastDial, now - last < pause { return }
    requestDial(slot, to: dialer.server, at: now)
  }

  mutating func requestDial(_ slot: Int, to server: IPAddress, at now: Instant) {
    guard !isClosing, let dialer else { return }
    self.dialer?.slots[slot].lastDial = now
    self.dialer?.slots[slot].pending += 1
    events.append(
      .dial(
        slot: slot, dialer.slots[slot].carrier,
        remote: Endpoint(server, dialer.slots[slot].port)))
  }

  /// An outage: one more dial of each carrier. Else: whatever is missing.
  mutating func tickDialer(at now: Instant, into segments: inout SegmentBatch) {
    dropOldHeld(at: now)
    if hasCandidate(0), sessions[0].health != .silent {
      dialer?.pause = .seconds(1)
      dialMissing(at: now)
      if dialer?.isServerHeard == false { dialRival(at: now) }
    } else if let turn = dialer?.takeTurn() {
      tellUnanswered(at: now)
      for slot in turn { requestDial(slot, isOutage: true, at: now) }
      dialRival(at: now)
      let doubled = min((dialer?.pause ?? .seconds(1)) * 2, Dialer.longestPause)
      let pause = isActive(0, at: now) ? .seconds(1) : random.jittered(doubled)
      dialer?.pause = pause
    }
  }

  private mutating func tellUnanswered(at now: Instant) {
    guard !hasToldUnanswered, !sessions[0].wasConnected, now - startedAt >= .seconds(5) else {
      return
    }
    hasToldUnanswered = true
    events.append(.unanswered)
  }

  /// Makes sure that there is a tick while something is missing.
  mutating func scheduleDialer(at now: Instant) {
    guard let dialer, !isClosing else { return }
    guard dialer.isMissing || sessions[0].health == .silent || !held.isEmpty else { return }
    timers.schedule(.dialer, at: now + dialer.pause)
  }

  mutating func tickDialerSoon(at now: Instant) {
    timers.schedule(.dialer, at: now)
  }

  /// Bookkeeping for a channel of the client that is about to be removed.
  mutating func clientRemoved(_ index: Int, at now: Instant) {
    let slot = channels[index].slot
    if channels[index].isDialling {
      dialer?.slots[slot].pending -= 1
      dialer?.slots[slot].failures += 1
      // That port may be blocked, or another program's.
      dialer?.redraw(slot, random: &random)
    }
    channelLost(index, at: now)
    scheduleDialer(at: now)
  }

  mutating func clientBecameHealthy(
    _ index: Int, wasOutage: Bool, into segments: inout SegmentBatch, at now: Instant
  ) {
    sendAllHeld(on: index, into: &segments, at: now)
    if wasOutage {
      abandonRivals(at: now)
      dialer?.forgetFailures()
      tickDialerSoon(at: now)
    }
  }
}

// Idle channels, and flows.
extension TunnelEngine {
  /// How often a channel is probed that need not be kept fresh: before a NAT forgets TCP, and the server
  /// everything.
  private static let restingKeepalive = Duration.seconds(500)
  /// How long nothing must pass before channels of which NATs forget the mappings soon are let be.
  private static let restAfter = Duration.seconds(15)
  /// How long nothing must pass before only one channel of each carrier is kept.
  private static let parkAfter = Duration.seconds(600)

  /// So short that its jitter never exceeds what was configured.
  private var keepalive: Duration { configuration.keepalive * 7 / 8 }

  /// How long the channel may be silent now before it is probed. The server sends on any that is not cold, so
  /// while datagrams pass all are kept fresh, then one.
  private func keepalive(of index: Int, at now: Instant) -> Duration {
    let isForgottenSoon = channels[index].kind.natMemory < Self.restingKeepalive
    let isUsed = isForgottenSoon && now - sessions[0].lastActive < Self.restAfter
    return isUsed || dialer?.warmChannel == index ? keepalive : Self.restingKeepalive
  }

  /// An idle channel's turn.
  mutating func keepAlive(
    _ index: Int, at now: Instant, into segments: inout SegmentBatch
  ) {
    let parkAt = sessions[0].lastActive + Self.parkAfter
    let isSpare = dialer?.firstChannel(channels[index].kind) != index
    dialer?.isResting = now - sessions[0].lastActive >= Self.restAfter
    if isSpare && parkAt <= now {
      dialer?.isParked = true
      channelLost(index, at: now)
      return closeChannel(index, at: now, into: &segments)
    }
    let interval = random.jittered(keepalive(of: index, at: now))
    let due = channels[index].liveness.lastHeard + interval
    if due <= now { sendProbe(on: index, into: &segments, at: now) }
    let next = due <= now ? now + interval : due
    channels[index].keepaliveAt = isSpare ? min(next, parkAt) : next
  }

  /// The channel has to be heard more often than it was to be.
  private mutating func keepAliveSoon(_ index: Int, at now: Instant) {
    let due = channels[index].liveness.lastHeard + random.jittered(keepalive(of: index, at: now))
    guard due < channels[index].keepaliveAt else { return }
    channels[index].keepaliveAt = due
    reschedule(index, at: now)
  }

  /// A channel of the client's opened.
  mutating func beginKeepalive(_ index: Int, at now: Instant) {
    channels[index].keepaliveAt = now + random.jittered(keepalive)
  }

  /// A channel is gone: another one may be the one to keep warm.
  mutating func keepWarm(at now: Instant) {
    if let warm = dialer?.warmChannel { keepAliveSoon(warm, at: now) }
  }

  /// The flow of an app's endpoint, a new one where it is new.
  mutating func clientFlow(of endpoint: Endpoint, at now: Instant) -> Int? {
    if let index = flows.index(endpoint: endpoint) { return index }
    guard flows.count < limits.flowsPerSession, let id = flowIDs.take(at: now) else {
      counters.drop(.flowLimit)
      return nil
    }
    return addFlow(Flow(session: 0, id: id, endpoint: endpoint, lastActive: now), at: now)
  }
}
