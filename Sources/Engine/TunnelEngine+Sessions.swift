// Which channels of a session may carry datagrams, and what follows when that changes.

internal import Wire

extension TunnelEngine {
  mutating func markStale(_ session: Int) { sessions[session].isStale = true }

  /// Whether the session has a channel to send on; brings its candidates up to date.
  @inline(__always)
  mutating func hasCandidate(_ session: Int) -> Bool {
    if sessions[session].isStale { refreshCandidates(session) }
    return !sessions[session].candidates.isEmpty
  }

  /// The open channels against which the least speaks are the candidates: one that is being probed
  /// carries nothing while others are healthy, and when all are silent all are tried.
  private mutating func refreshCandidates(_ session: Int) {
    let was = sessions[session].health
    var least = Int.max
    sessions[session].candidates.removeAll(keepingCapacity: true)
    for index in sessions[session].channels where channels[index].state == .open {
      let demerits = demerits(of: index)
      guard demerits <= least else { continue }
      if demerits < least { sessions[session].candidates.removeAll(keepingCapacity: true) }
      least = demerits
      sessions[session].candidates.append(index)
    }
    sessions[session].health =
      sessions[session].candidates.first.map { channels[$0].liveness.health } ?? .silent
    sessions[session].isStale = false
    refreshChosen(session)
    let health = sessions[session].health
    if was == .silent && health != .silent {
      sessions[session].wasConnected = true
      // It may be another network now.
      sessions[session].proxiedPorts = ProxiedPorts()
      events.append(.connected(sessions[session].id, keyName: sessions[session].keyName))
    } else if was != .silent && health == .silent && !isClosing {
      events.append(.disconnected(sessions[session].id, keyName: sessions[session].keyName))
    }
  }

  /// What speaks against sending on an open channel, the graver the higher: its health, that it is spent,
  /// that it is proxied. Copies go on proxied ones as well, or they might have no other way.
  private func demerits(of index: Int) -> Int {
    let isRedundant = sessions[channels[index].session].scheduler.schedule == .redundant
    return channels[index].liveness.health.rawValue << 2
      | (channels[index].allowance.isSpent ? 2 : 0)
      | (channels[index].isProxied && !isRedundant ? 1 : 0)
  }

  /// A channel was heard that was not healthy, or is new.
  mutating func becameHealthy(
    _ index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    let session = channels[index].session
    let wasOutage = sessions[session].health == .silent
    markStale(session)
    _ = hasCandidate(session)
    // Those that fell silent while no channel was healthy get their verdict now. The server, which may not
    // have used them for long, is not to find out one by one.
    for other in sessions[session].channels
    where channels[other].liveness.health == .silent && channels[other].state == .open {
      if dialer != nil { addSuspect(other) }
      channels[other].liveness.retry(at: now)
      reschedule(other, at: now)
    }
    reportSuspects(of: session, into: &segments, at: now)
    if dialer != nil { clientBecameHealthy(index, wasOutage: wasOutage, into: &segments, at: now) }
  }

  /// A channel's probes stayed unanswered.
  mutating func becameSilent(
    _ index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    let session = channels[index].session
    markStale(session)
    _ = hasCandidate(session)
    guard dialer != nil else { return }
    if othersHear(index) {
      channelLost(index, at: now)
      closeChannel(index, at: now, into: &segments)
    } else if sessions[session].health == .silent {
      // An outage: every channel is kept, and one more is dialled each second.
      tickDialerSoon(at: now)
    } else {
      // The others are only not doubted: one round trip tells whether this one is silent alone.
      for other in sessions[session].candidates { ask(other, at: now) }
    }
  }

  /// Whether another channel was heard since this one was doubted: then this one is dead, and it is
  /// no outage.
  private func othersHear(_ index: Int) -> Bool {
    let doubtedAt = channels[index].liveness.doubtedAt
    return sessions[channels[index].session].channels.contains { other in
      other != index && channels[other].state == .open
        && channels[other].liveness.lastHeard > doubtedAt
    }
  }

  /// Has the channel probed at once.
  mutating func ask(_ index: Int, at now: Instant) {
    channels[index].liveness.ask(at: now)
    markStale(channels[index].session)
    reschedule(index, at: now)
  }

  /// A channel is lost, or about to be closed: a client fills its slot again.
  mutating func channelLost(_ index: Int, at now: Instant) {
    guard dialer != nil else { return }
    let slot = channels[index].slot
    guard dialer?.slots[slot].channel == index else { return }
    dialer?.slots[slot].channel = nil
    dialer?.slots[slot].isSuspect = false
    dialer?.redraw(slot, random: &random)
    tickDialerSoon(at: now)
    keepWarm(at: now)
  }

  /// Adds a channel to the tables.
  mutating func addChannel(_ channel: consuming Channel) -> Int {
    let index = channels.insert(channel)
    enroll(index)
    return index
  }

  /// Makes a channel the one of its four-tuple, and one of its session.
  mutating func enroll(_ index: Int) {
    let session = channels[index].session
    list(index)
    sessions[session].channels.append(index)
    sessions[session].endsAt = .distantFuture
  }

  /// Takes a channel out of the tables; nothing is sent.
  mutating func removeChannel(_ index: Int, at now: Instant) {
    if channels[index].state == .unconfirmed { return forgetUnconfirmed(index) }
    let (tuple, session) = (channels[index].tuple, channels[index].session)
    if dialer != nil { clientRemoved(index, at: now) }
    unlist(index)
    channels.remove(index)
    timers.cancel(.channel(index))
    sessions[session].channels.removeAll { $0 == index }
    markStale(session)
    _ = hasCandidate(session)
    events.append(.channelClosed(channel: index, tuple))
    guard listener != nil else { return }
    noteUse(of: sessions[session].keyName) { $0.channels -= 1 }
    if sessions[session].channels.isEmpty { endLater(session, at: now) }
  }
}
