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
    guard sessions[session].scheduler.isSpread, sessions[session].scheduler.schedule == .adaptive,
      let channel = sessions[session].candidates.randomElement(using: &random)
    else { return }
    let count = sessions[session].candidates.count
    if sessions[session].scheduler.growth.note(channels: count, at: now) {
      for index in sessions[session].channels { channels[index].standing.forgetLosses() }
    }
    let roundTrip = channels[channel].liveness.roundTrip.longest
    guard sessions[session].scheduler.growth.wantsMore(losses, roundTrip: roundTrip, at: now)
    else { return }
    if dialer != nil {
      openMore(at: now)
    } else {
      sendFrame(.more, on: channel, into: &segments, at: now)
    }
  }

  /// What is sent is lost on all channels: a client opens as many again, as far as it may.
  mutating func openMore(at now: Instant) {
    guard !isClosing, configuration.schedule == .adaptive, dialer?.isParked == false,
      let count = dialer?.grow(at: now)
    else { return }
    events.append(.moreChannels(count: count))
    dialMissing(at: now)
    scheduleDialer(at: now)
  }
}
