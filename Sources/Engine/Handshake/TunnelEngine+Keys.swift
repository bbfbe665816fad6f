// What follows when the keys are others.

public import Wire

extension TunnelEngine {
  /// Takes other keys from now on. On a server, the sessions of keys that are gone end at once: their
  /// clients are strangers. A client's new channels use its new key.
  public mutating func setKeys(_ keys: [NamedKey], at now: Instant) {
    guard listener != nil else {
      clientKeys = (keys.first?.key).map(HandshakeKeys.init)
      return
    }
    let left = Set(keys.filter { listener?.keys.contains($0) == true }.map(\.name))
    listener?.setKeys(keys)
    for index in Array(unconfirmed.values) where !isClaimed(channels[index].claim, by: left) {
      forgetUnconfirmed(index)
    }
    for index in Array(sessions.indices) where !left.contains(sessions[index].keyName ?? "") {
      for channel in sessions[index].channels { removeChannel(channel, at: now) }
      endSession(index, at: now)
    }
  }

  private func isClaimed(_ claim: SessionClaim?, by names: Set<String>) -> Bool {
    names.contains(claim?.keyName ?? "")
  }

  /// Looks at how much a channel has carried, and how much its keys have sealed. A client dials its replacement in time; where
  /// there is none before the last frame that a key may seal, the channel is closed.
  @inline(__always)
  mutating func noteWear(of index: Int, into segments: inout SegmentBatch, at now: Instant) {
    if channels[index].carried >= channels[index].allowance.mark { passMark(index, at: now) }
    guard let used = channels[index].cipher?.framesUsed, used >= limits.framesBeforeReplacement
    else { return }
    wearOut(index, used: used, into: &segments, at: now)
  }

  private mutating func wearOut(
    _ index: Int, used: UInt64, into segments: inout SegmentBatch, at now: Instant
  ) {
    guard channels[index].state == .open else { return }
    if used >= limits.framesPerKey {
      channelLost(index, at: now)
      closeChannel(index, at: now, into: &segments)
    } else if dialer != nil {
      replace(index, at: now)
    }
  }
}
