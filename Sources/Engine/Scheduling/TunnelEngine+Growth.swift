// More channels where all of them lose: the end that sends finds it, the client opens them.
//
//   judgement ─► all lose ─┬─ client ─────────────────► dials
//                          └─ server ── more frame ──► client dials

internal import Wire

extension TunnelEngine {
  /// Has more channels opened where those that there are lose too much.
  mutating func grow(
    _ session: Int, _ losses: Losses, into segments: inout SegmentBatch, at now: Instant
  ) {
    let count = sessions[session].candidates.count
    if sessions[session].scheduler.growth?.note(channels: count, at: now) == true {
      for index in sessions[session].channels { channels[index].standing.forgetLosses() }
    }
    guard
      sessions[session].scheduler.growth?.wantsMore(losses, at: now) == true
    else { return }
    if dialer != nil {
      openMore(at: now)
    } else if count > 0 {
      let channel = sessions[session].candidates[random.below(count)]
      sendFrame(.more, on: channel, into: &segments, at: now)
    }
  }

  /// What is sent is lost on all channels: a client opens as many again, as far as it may.
  mutating func openMore(at now: Instant) {
    guard let count = dialer?.grow(at: now) else { return }
    events.append(.moreChannels(count: count))
    dialMissing(at: now)
    scheduleDialer(at: now)
  }
}
