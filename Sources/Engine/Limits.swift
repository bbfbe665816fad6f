// Hard bounds on what peers and apps can make the engine hold.

/// Bounds; what would exceed one is dropped and counted.
public struct EngineLimits: Hashable, Sendable {
  /// Sessions of a server.
  public var sessions = 4096
  /// Channels of one session of a server.
  public var channelsPerSession = 256
  /// Flows of one session: app endpoints of one client.
  public var flowsPerSession = 1024
  /// Channels that clients may open on a server in a second. One network (/24) gets a sixteenth, and a
  /// quarter at once.
  public var handshakesPerSecond = 1000
  /// Bytes of datagrams that a client holds before its first channel is up.
  public var queuedBytes = 128 << 10

  /// Channels of a server.
  var channels = 16_384
  /// Channels of a server whose clients have not confirmed them.
  var unconfirmedChannels = 1024
  /// Connections of a server that are shown the decoy at a time; each holds two sockets.
  var strangers = 256
  /// Flows of all sessions of a server; each holds a socket.
  var flows = 16_384
  /// Sessions of a server with datagrams of which pieces are missing; each holds up to
  /// `PieceRing.byteCount` bytes.
  var reassemblies = 32
  /// Sessions whose spread flows are paced; each holds up to `PacedQueue.byteCount` bytes.
  var pacedSessions = 64
  /// Names of channels in one suspect frame, and in the list that it is made from.
  var suspects = 64
  /// Frames that one key seals before its channel is replaced, and before it is not used any more:
  /// RFC 9001, appendix B.1, has 2^23 for AES-GCM.
  var framesBeforeReplacement: UInt64 = 1 << 22
  var framesPerKey: UInt64 = 1 << 23

  /// The usual bounds.
  public init() {}
}
