// What there is to say about a session.

public import Wire

/// A session as it is at one moment, with its channels.
public struct SessionStatus: Hashable, Sendable {
  /// What the best of a session's channels is good for.
  public enum State: String, Hashable, Sendable, CaseIterable {
    /// No channel was ever open.
    case connecting
    /// A channel is heard.
    case connected
    /// A channel was heard, and none is now.
    case silent
  }

  /// The session's name, the same at both ends.
  public let id: SessionID
  /// Server: the name of the client's key; nil without a key.
  public let keyName: String?
  /// What the best of its channels is good for.
  public let state: State
  /// How long it has lasted.
  public let age: Duration
  /// How long no datagram has passed, either way.
  public let idle: Duration
  /// App endpoints that it serves.
  public let flows: Int
  /// The largest datagram that travels whole on each of its open channels, in bytes; nil where none is open.
  public let largestDatagram: Int?
  /// Its channels.
  public let channels: [ChannelStatus]
}
