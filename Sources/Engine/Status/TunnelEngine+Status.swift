// A snapshot for whoever asks how the tunnel is. Taken when asked: packets pay for nothing but the sums.

public import Wire

extension TunnelEngine {
  /// The engine as it is now, without its sessions.
  public var status: TunnelStatus {
    TunnelStatus(
      sessions: sessions.count, channels: byTuple.count + byNumber.count,
      unconfirmed: unconfirmed.count,
      flows: flows.count, hasKey: clientKeys != nil || listener?.keys.isEmpty == false,
      isSealed: sealsFrames, counters: counters)
  }

  /// The first session at `index` or behind it, and where to look for the next one; nil where there is
  /// none. One at a time, since a server may have thousands.
  public func sessionStatus(
    from index: Int, at now: Instant
  ) -> (session: SessionStatus, next: Int)? {
    guard let index = sessions.first(from: index) else { return nil }
    return (sessionStatus(of: index, sessions[index], at: now), index + 1)
  }

  private func sessionStatus(
    of index: Int, _ session: borrowing Session, at now: Instant
  ) -> SessionStatus {
    var channels: [ChannelStatus] = []
    for channel in session.channels {
      let share = share(of: channel, in: session)
      channels.append(ChannelStatus(self.channels[channel], share: share, at: now))
    }
    return SessionStatus(
      id: session.id, keyName: session.keyName, state: SessionStatus.State(session),
      age: now - session.startedAt, idle: now - session.lastActive, flows: session.flowCount,
      largestDatagram: largestDatagram(session: index, isSettled: false), channels: channels)
  }

  /// The part of a session's datagrams that the schedule gives to a channel.
  private func share(of index: Int, in session: borrowing Session) -> Double {
    let (isRandom, rank) = (session.scheduler.schedule == .random, channels[index].standing.rank)
    guard channels[index].state == .open, rank == .chosen || isRandom && rank == .candidate else {
      return 0
    }
    guard !isRandom else { return 1 / Double(session.candidates.count) }
    let sum = session.scheduler.chosen.reduce(0) { $0 + channels[$1].standing.share }
    return channels[index].standing.share / sum
  }
}

extension SessionStatus.State {
  fileprivate init(_ session: borrowing Session) {
    guard session.health == .silent else {
      self = .connected
      return
    }
    self = session.wasConnected ? .silent : .connecting
  }
}
