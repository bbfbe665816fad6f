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
    let session = sessions[index]
    let status = SessionStatus(
      id: session.id, keyName: session.keyName, state: SessionStatus.State(session),
      age: now - session.startedAt, idle: now - session.lastActive, flows: session.flowCount,
      largestDatagram: largestDatagram(session: index, isSettled: false),
      channels: session.channels.map {
        ChannelStatus(channels[$0], share: share(of: $0, in: session), at: now)
      })
    return (status, index + 1)
  }

  /// The part of a session's datagrams that the schedule gives to a channel.
  private func share(of index: Int, in session: Session) -> Double {
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
  fileprivate init(_ session: Session) {
    guard session.health == .silent else {
      self = .connected
      return
    }
    self = session.wasConnected ? .silent : .connecting
  }
}
