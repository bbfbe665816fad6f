// What there is to say about the whole engine.

/// The engine as it is at one moment, without its sessions.
public struct TunnelStatus: Sendable {
  /// Sessions; a client has one.
  public let sessions: Int
  /// Channels of all sessions, in any state.
  public let channels: Int
  /// Server: channels that wait for their clients' first frame. They belong to no session.
  public let unconfirmed: Int
  /// App endpoints that are served.
  public let flows: Int
  /// Whether only those are let in who have a key.
  public let hasKey: Bool
  /// Whether frames are sealed.
  public let isSealed: Bool
  /// What happened since the start.
  public let counters: Counters
}

extension Counters {
  /// What was dropped so far, by reason; only reasons that there were.
  public var dropped: [(reason: DropReason, count: UInt64)] {
    DropReason.allCases.compactMap { self[$0] > 0 ? ($0, self[$0]) : nil }
  }
}
