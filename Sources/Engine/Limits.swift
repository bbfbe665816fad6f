// Hard bounds on what peers and apps can make the engine hold.

/// Bounds; what would exceed one is dropped and counted.
struct Limits: Sendable {
  /// Sessions of a server.
  var sessions = 4096
  /// Channels of a server.
  var channels = 16_384
  /// Channels of one session of a server.
  var channelsPerSession = 64
  /// Flows of one session: app endpoints of one client.
  var flowsPerSession = 1024
  /// Flows of all sessions of a server; each holds a socket.
  var flows = 16_384
}
