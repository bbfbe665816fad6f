// Hard bounds on what peers and apps can make the engine hold and do.

/// Bounds; what would exceed one is dropped and counted.
public struct EngineLimits: Hashable, Sendable {
  /// Sessions of a server.
  public var sessions = 4096
  /// Channels of a server.
  public var channels = 16_384
  /// Channels of one session of a server.
  public var channelsPerSession = 64
  /// Flows of one session: app endpoints of one client.
  public var flowsPerSession = 1024
  /// Flows of all sessions of a server; each holds a socket.
  public var flows = 16_384
  /// First messages of a handshake that a server with keys tries to open, a second.
  public var handshakesPerSecond = 1000
  /// Bytes of datagrams that are held for a session that has no channel yet.
  public var queuedBytes = 128 << 10

  /// The usual bounds.
  public init() {}
}
