// What there is to say about a running rsock beside its sessions.

public import Engine
public import Wire

/// A running rsock as it is at one moment.
public struct ProgramStatus: Sendable {
  /// What it is for.
  public let role: ProcessRole
  /// Its process.
  public let pid: Int32
  /// How long it has run.
  public let age: Duration
  /// Where it connects to and from.
  public let places: Places
  /// The engine's part.
  public let tunnel: TunnelStatus
  /// Segments that the kernel did not take.
  public let notSent: Int
  /// Datagrams that the app or the target did not take.
  public let notDelivered: Int
  /// Packets from the wire that found the receive buffer full.
  public let notReceived: Int

  /// Where a role connects to and from.
  public struct Places: Hashable, Sendable {
    /// A client's server, or the target of a server, as the user named it.
    public var taddr: String
    /// Its address; nil while a name's is not known.
    public var address: String?
    /// Client: where apps send to.
    public var listen: Endpoint?
    /// The server's ports.
    public var ports: PortSet
  }
}
