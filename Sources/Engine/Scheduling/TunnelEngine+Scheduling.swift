// Which channel carries a run, and what reports change about that. docs/scheduling.md says why.
//
//   report ─► evidence ─► judgement: shares, slow ones, those to avoid ─► chosen
//   run ─► the flow's home among the chosen, or, where it is spread, the one with the least load

internal import Wire

// Choosing.
extension TunnelEngine {
  /// The channel that a run of the flow should take; there is a candidate.
  mutating func prefer(for flow: Int, at now: Instant) -> Int {
    let session = flows[flow].session
    switch sessions[session].scheduler.schedule {
    case .random:
      return sessions[session].candidates[random.below(sessions[session].candidates.count)]
    case .sticky, .redundant: return home(of: flow, at: now)
    case .adaptive: break
    }
    guard flows[flow].course.isSpread else { return home(of: flow, at: now) }
    let lastLossy = sessions[session].scheduler.lastLossy
    if flows[flow].course.gather(lastLossy: lastLossy, at: now) {
      endSpread(session, at: now)
      refreshChosen(session)
      return home(of: flow, at: now)
    }
    return leastLoaded(session)
  }

  /// Whether a datagram of the flow may join a run on this channel that another flow's began.
  mutating func mayJoin(_ channel: Int?, _ flow: Int, at now: Instant) -> Bool {
    let session = flows[flow].session
    let schedule = sessions[session].scheduler.schedule
    guard schedule != .random else { return true }
    guard schedule != .redundant, !sessions[session].isStale,
      !sessions[session].scheduler.chosen.isEmpty
    else {
      return false
    }
    return !flows[flow].course.isSpread && home(of: flow, at: now) == channel
  }

  private mutating func home(of flow: Int, at now: Instant) -> Int {
    let session = flows[flow].session
    var unwanted: Carrier?
    if let home = flows[flow].course.home, channels.contains(home.channel),
      channels[home.channel].id == home.id, channels[home.channel].session == session
    {
      let rank = channels[home.channel].standing.rank
      if rank == .chosen || rank == .candidate && sessions[session].scheduler.schedule == .sticky {
        return home.channel
      }
      if rank == .candidate, channels[home.channel].standing.isAvoided,
        flows[flow].course.leave(at: now)
      {
        spread(session, at: now)
        return leastLoaded(session)
      }
      // What befell this channel befalls all of its carrier, as likely as not; but to be spent, or cold, is
      // no fault.
      let isLost =
        rank == .none && !channels[home.channel].allowance.isSpent
        && channels[home.channel].liveness.health != .cold
      let isBad = isLost || channels[home.channel].standing.isAvoided
      if isBad, channels[home.channel].state == .open { unwanted = channels[home.channel].kind }
    }
    let home = bestHome(for: flows[flow].id, of: session, avoiding: unwanted)
    flows[flow].course.home = (home, channels[home].id)
    return home
  }

  /// The channel for the second copies of the flow's datagrams: the best one but its home, and of another
  /// carrier where there is one.
  mutating func second(for flow: Int, at now: Instant) -> Int {
    let home = home(of: flow, at: now)
    let session = flows[flow].session
    let second = bestHome(
      for: flows[flow].id, of: session, but: home, avoiding: channels[home].kind)
    guard second == home else { return second }
    return sessions[session].candidates.first { $0 != home } ?? home
  }

  /// The chosen channel with the highest score for the flow, of another carrier than the unwanted one
  /// where there is such; `but` where there is no other.
  private func bestHome(
    for flow: UInt16, of session: Int, but excluded: Int? = nil, avoiding unwanted: Carrier?
  ) -> Int {
    var best = (channel: excluded ?? sessions[session].scheduler.chosen[0], score: -1.0)
    var isBestWanted = false
    for index in sessions[session].scheduler.chosen where index != excluded {
      let isWanted = channels[index].kind != unwanted
      if isBestWanted && !isWanted { continue }
      let score = Rendezvous.score(
        flow: flow, channel: channels[index].id, share: channels[index].standing.share)
      guard score > best.score || isWanted && !isBestWanted else { continue }
      best = (index, score)
      isBestWanted = isWanted
    }
    return best.channel
  }

  func leastLoaded(_ session: Int) -> Int {
    var best = sessions[session].scheduler.chosen[0]
    for index in sessions[session].scheduler.chosen
    where channels[index].standing.load < channels[best].standing.load { best = index }
    return best
  }

  /// One more flow is spread: all channels start anew, since what each of them lost under the whole
  /// load says little of what it will lose under its part.
  private mutating func spread(_ session: Int, at now: Instant) {
    sessions[session].scheduler.spreadCount += 1
    sessions[session].scheduler.spreadAt = now
    sessions[session].scheduler.pace?.restart(at: now)
    sessions[session].scheduler.growth.begin(
      channels: sessions[session].candidates.count, at: now)
    sessions[session].scheduler.lastLossy = now
    for index in sessions[session].channels {
      channels[index].standing.pardon()
      channels[index].standing.load = 0
    }
    refreshChosen(session)
  }

  /// A flow is gone.
  mutating func forgetCourse(of flow: Flow, at now: Instant) {
    guard flow.course.isSpread else { return }
    endSpread(flow.session, at: now)
  }
}

// Judging.
extension TunnelEngine {
  /// Takes in what a report said of a channel, and judges the session's channels where that is due.
  mutating func weigh(_ index: Int, into segments: inout SegmentBatch, at now: Instant) {
    channels[index].standing.take(channels[index].delivery.lastInterval, at: now)
    let session = channels[index].session
    guard sessions[session].scheduler.judgementAt <= now else { return }
    let twice = (channels[index].liveness.roundTrip.smoothed ?? .zero) * 2
    sessions[session].scheduler.judgementAt = now + max(.milliseconds(200), twice)
    judge(session, into: &segments, at: now)
  }

  private mutating func judge(
    _ session: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    for index in sessions[session].channels
    where channels[index].standing.evidence.isStale(at: now) {
      channels[index].standing.pardon()
    }
    compareRoundTrips(session, into: &segments, at: now)
    noteLosses(session, at: now)
    let losses = judgeLosses(session)
    adjustPace(session, losses, at: now)
    grow(session, losses, into: &segments, at: now)
    shift(session)
    refreshChosen(session)
  }

  /// Judges what each channel loses more than the best one.
  private mutating func judgeLosses(_ session: Int) -> Losses {
    guard let best = bestEvidence(session) else { return Losses(ofBest: 0) }
    let isSpread = sessions[session].scheduler.isSpread
    let isSmoothed = sessions[session].scheduler.pace?.isSmoothing == true
    var losses = Losses(ofBest: best.loss)
    for index in sessions[session].candidates where channels[index].standing.recent.sent > 0 {
      let excess = channels[index].standing.judge(
        against: best, isSpread: isSpread, isSmoothed: isSmoothed)
      if !isSpread { channels[index].standing.share *= 1 - excess }
      losses.add(channels[index].standing.recent, excess: excess)
    }
    return losses
  }

  /// What the best channel loses that a flow could move to. Where flows are spread all are in use, and
  /// one of which nothing is known yet is no measure.
  private func bestEvidence(_ session: Int) -> Evidence? {
    let isSpread = sessions[session].scheduler.isSpread
    var best: Evidence?
    for index in sessions[session].candidates
    where !channels[index].standing.isSlow && !channels[index].standing.isAvoided {
      let evidence = channels[index].standing.evidence
      if isSpread && evidence.frames < Evidence.least { continue }
      if best.map({ evidence.loss < $0.loss }) != false { best = evidence }
    }
    return best
  }

  /// Notes whether what was reported since the last judgement had more losses than it should.
  private mutating func noteLosses(_ session: Int, at now: Instant) {
    var (sent, arrived) = (0.0, 0.0)
    for index in sessions[session].scheduler.chosen {
      sent += Double(channels[index].standing.recent.sent)
      arrived += Double(channels[index].standing.recent.arrived)
    }
    if sent >= 50, arrived < sent * (1 - Scheduler.lossLimit) {
      sessions[session].scheduler.lastLossy = now
    }
  }

  /// Where flows are spread, each channel's share follows what arrives on it (replicator dynamics):
  /// shares leave a channel until losses are the same on all. Half of the way at a time: what a report
  /// says was sent by the shares of the time before.
  private mutating func shift(_ session: Int) {
    if sessions[session].scheduler.isSpread { followArrivals(session) }
    var sum = 0.0
    for index in sessions[session].candidates {
      channels[index].standing.recent = (0, 0)
      sum += channels[index].standing.share
    }
    guard sum > 0 else { return }
    let scale = Double(sessions[session].candidates.count) / sum * (1 - Scheduler.floor)
    for index in sessions[session].candidates {
      channels[index].standing.share = channels[index].standing.share * scale + Scheduler.floor
    }
  }

  private mutating func followArrivals(_ session: Int) {
    var (shares, arrivals) = (0.0, 0.0)
    for index in sessions[session].candidates where channels[index].standing.recent.sent >= 16 {
      shares += channels[index].standing.share
      arrivals += channels[index].standing.arrivals
    }
    guard arrivals > 0 else { return }
    for index in sessions[session].candidates where channels[index].standing.recent.sent >= 16 {
      let share = shares * channels[index].standing.arrivals / arrivals
      channels[index].standing.share = (channels[index].standing.share + share) / 2
    }
  }

  /// Finds out which channels are slow. Before one in use is called so, those that seem faster are
  /// measured again: their round trips may be from a time when less was under way.
  private mutating func compareRoundTrips(
    _ session: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    var shortest: (channel: Int, time: Duration)?
    for index in sessions[session].candidates {
      guard let time = channels[index].liveness.roundTrip.smoothed else { continue }
      if shortest.map({ time < $0.time }) != false { shortest = (index, time) }
    }
    guard let shortest else { return }
    let isFresh = channels[shortest.channel].liveness.hasMeasured(since: now - .seconds(2))
    for index in sessions[session].candidates {
      guard let time = channels[index].liveness.roundTrip.smoothed else { continue }
      if !isFresh, !channels[index].standing.isSlow,
        channels[index].standing.recent.sent > 0,
        time > shortest.time + Standing.slowness(shortest.time)
      {
        if channels[shortest.channel].liveness.isProbeTimely(at: now) {
          sendProbe(on: shortest.channel, into: &segments, at: now)
        }
      } else {
        channels[index].standing.compare(time, shortest: shortest.time)
      }
    }
  }

  /// The chosen are the candidates that flows may have for a home: neither avoided nor slow, unless
  /// there are no others, or flows are spread over all the others and still lose.
  mutating func refreshChosen(_ session: Int) {
    let scheduler = sessions[session].scheduler
    let takesSlow =
      scheduler.isSpread && scheduler.judgementAt - scheduler.lastLossy < .seconds(10)
    choose(session) { !$0.isAvoided && (takesSlow || !$0.isSlow) }
    if sessions[session].scheduler.chosen.isEmpty { choose(session) { !$0.isAvoided } }
    if sessions[session].scheduler.chosen.isEmpty { choose(session) { _ in true } }
  }

  private mutating func choose(_ session: Int, _ isChosen: (Standing) -> Bool) {
    var least: Double?
    for index in sessions[session].scheduler.chosen
    where channels.contains(index) && channels[index].standing.rank == .chosen {
      least = min(least ?? .infinity, channels[index].standing.load)
    }
    for index in sessions[session].channels { channels[index].standing.rank = .none }
    sessions[session].scheduler.chosen.removeAll(keepingCapacity: true)
    for index in sessions[session].candidates {
      guard isChosen(channels[index].standing) else {
        channels[index].standing.rank = .candidate
        continue
      }
      channels[index].standing.rank = .chosen
      // One that joins does not make up for the time that it was away.
      channels[index].standing.load = max(channels[index].standing.load, least ?? 0)
      sessions[session].scheduler.chosen.append(index)
    }
  }
}
