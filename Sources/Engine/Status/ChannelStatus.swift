// What there is to say about a channel.

public import Wire

/// A channel as it is at one moment.
public struct ChannelStatus: Hashable, Sendable {
  /// What a channel is good for.
  public enum State: String, Hashable, Sendable, CaseIterable {
    /// It is being opened.
    case dialling
    /// Nothing speaks against its path.
    case healthy
    /// It has carried what it may, and waits for another one to take its place.
    case spent
    /// Nothing was heard for so long that a NAT may have forgotten it: it is used where no other is better.
    case cold
    /// It is being probed: nothing was heard for a while, or an RST or FIN came.
    case doubtful
    /// Its probes stayed unanswered.
    case silent
    /// It was closed and waits for the other side, or for what was overtaken.
    case closing
  }

  /// The channel's name within the session, the same at both ends.
  public let id: UInt32
  /// How it looks on the wire.
  public let carrier: Carrier
  /// Its two ends.
  public let tuple: FourTuple
  /// What it is good for.
  public let state: State
  /// Whether something on the way ends its TCP connection, so that it is used only where no other one is as
  /// healthy.
  public let isProxied: Bool
  /// How long it has been open; nil where it has not opened yet.
  public let age: Duration?
  /// How long nothing valid has been received on it.
  public let silence: Duration
  /// The smoothed round-trip time; nil where none was measured.
  public let roundTrip: Duration?
  /// The part of what is sent on it that is lost, by the peer's reports of late; nil where these are none.
  public let loss: Double?
  /// The part of the session's datagrams that the schedule gives it: of the flows that are new, or of the
  /// runs of those that are spread.
  public let share: Double
  /// What was sent on it since it opened.
  public let sent: ChannelTraffic
  /// What was received on it since it opened: what fits the channel's state, not what was dropped.
  public let received: ChannelTraffic
}

extension ChannelStatus {
  init(_ channel: borrowing Channel, share: Double, at now: Instant) {
    id = channel.id
    carrier = channel.kind
    tuple = channel.tuple
    state = State(channel.state, channel.liveness.health, isSpent: channel.allowance.isSpent)
    isProxied = channel.isProxied
    age = channel.openedAt.map { now - $0 }
    silence = now - channel.liveness.lastHeard
    roundTrip = channel.liveness.roundTrip.smoothed
    loss = channel.standing.evidence.known(at: now)
    self.share = share
    sent = channel.sent
    received = channel.received
  }
}

extension ChannelStatus.State {
  init(_ state: Channel.State, _ health: Health, isSpent: Bool) {
    switch state {
    case .synSent, .helloSent, .unconfirmed: self = .dialling
    case .closing, .lingering: self = .closing
    case .open:
      switch health {
      case .healthy: self = isSpent ? .spent : .healthy
      case .cold: self = .cold
      case .doubtful: self = .doubtful
      case .silent: self = .silent
      }
    }
  }
}
