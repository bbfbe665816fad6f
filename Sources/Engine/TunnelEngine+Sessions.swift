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

  /// The open channels of the best health are the candidates: one that is being probed carries
  /// nothing while others are healthy, and when all are silent all are tried.
  private mutating func refreshCandidates(_ session: Int) {
    let open = sessions[session].channels.filter { channels[$0].state == .open }
    let best = open.map { channels[$0].liveness.health }.min() ?? .silent
    let was = sessions[session].health
    sessions[session].candidates = open.filter { channels[$0].liveness.health == best }
    sessions[session].health = best
    sessions[session].isStale = false
    if was == .silent && best != .silent {
      events.append(.connected(sessions[session].id))
    } else if was != .silent && best == .silent && !isClosing {
      events.append(.disconnected(sessions[session].id))
    }
  }

  /// A channel was heard that was not healthy, or is new.
  mutating func becameHealthy(
    _ index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    let session = channels[index].session
    let wasOutage = sessions[session].health == .silent
    markStale(session)
    _ = hasCandidate(session)
    // Those that fell silent while no channel was healthy get their verdict now.
    for other in sessions[session].channels
    where channels[other].liveness.health == .silent && channels[other].state == .open {
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
    // Silent alone: dead. Silent with all others: an outage, and every channel is kept.
    if dialer != nil, sessions[session].health == .healthy {
      channelLost(index, at: now)
      closeChannel(index, at: now, into: &segments)
    }
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
  }

  /// Adds a channel to the tables.
  mutating func addChannel(_ channel: Channel) -> Int {
    let index = channels.insert(channel)
    byTuple[channel.tuple] = index
    sessions[channel.session].channels.append(index)
    sessions[channel.session].endsAt = .distantFuture
    return index
  }

  /// Takes a channel out of the tables; nothing is sent.
  mutating func removeChannel(_ index: Int, at now: Instant) {
    let (tuple, session) = (channels[index].tuple, channels[index].session)
    if dialer != nil { clientRemoved(index, at: now) }
    channels.remove(index)
    timers.cancel(.channel(index))
    byTuple[tuple] = nil
    sessions[session].channels.removeAll { $0 == index }
    markStale(session)
    _ = hasCandidate(session)
    events.append(.channelClosed(channel: index, tuple))
    if listener != nil && sessions[session].channels.isEmpty { endLater(session, at: now) }
  }
}
