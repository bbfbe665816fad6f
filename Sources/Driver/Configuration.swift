// What a server or a client is told to do: values that are checked already, in the kernel's terms.

public import Engine
import Kernel
public import Wire

/// What both roles are told.
public struct TunnelConfiguration: Hashable, Sendable {
  /// The server's ports.
  public var ports: PortSet
  /// What channels look like.
  public var carriers: [Carrier]
  /// The local address to use; nil where the route decides.
  public var localAddress: IPAddress?
  /// The network device to stay on; nil where the route decides.
  public var device: String?
  /// How long a flow may be idle before it is released.
  public var idleTimeout: Duration
  /// How long an idle channel is left alone, where that is less than the engine's 25 s; nil for these.
  public var keepalive: Duration?
  /// Who is let in, or who this is.
  public var keys: KeySource
  /// The cipher for data; without a key it says nothing.
  public var cipher: CipherPreference
  /// What peers and apps can make the tunnel hold.
  public var limits: EngineLimits
  /// Whether to keep an nftables table of our own.
  public var firewall: FirewallMode
  /// Which way segments leave.
  public var transmit: TransmitMode
  /// What the tunnel's packets are marked with (SO_MARK); nil for no mark.
  public var mark: UInt32?
  /// For tests: how far the clock on the wall is off.
  public var clockOffset: Duration

  /// The most ports that a server holds by sockets.
  public static let mostHeldPorts = 1024

  /// Whether a server's ports are so many that its firewall rules alone hold them.
  public var isHeldByRules: Bool {
    ports.count > Self.mostHeldPorts && carriers.contains(where: \.hasPorts)
  }

  /// A configuration with the defaults of the command line for all but the ports.
  public init(ports: PortSet) {
    self.ports = ports
    carriers = [.tcp]
    idleTimeout = .seconds(600)
    keys = .none
    cipher = .auto
    limits = EngineLimits()
    firewall = .auto
    transmit = .auto
    clockOffset = .zero
  }
}

/// Whether rsock keeps an nftables table of its own.
public enum FirewallMode: String, Hashable, Sendable, CaseIterable {
  /// A table while rsock runs, where CAP_NET_ADMIN is to be had.
  case auto
  /// No table: the guard sockets alone.
  case off
}

/// Which way segments leave.
public enum TransmitMode: String, Hashable, Sendable, CaseIterable {
  /// AF_PACKET where the next hop is known, which bypasses local OUTPUT rules; else raw IP.
  case auto
  /// Raw IP only, which honours local OUTPUT rules, marks and IPsec policy.
  case raw
}

/// What a server is told.
public struct ServerConfiguration: Hashable, Sendable {
  /// What both roles are told.
  public var tunnel: TunnelConfiguration
  /// The app that gets the datagrams.
  public var target: Endpoint
  /// The name that the target's address is looked up by; the address is the wildcard then.
  public var targetName: String?
  /// The TCP service that strangers see; nil where they see nothing. Only where there is a key.
  public var decoy: Endpoint?

  /// The target as the user named it.
  var targetText: String { targetName.map { "\($0):\(target.port)" } ?? "\(target)" }

  /// A configuration from its parts.
  public init(tunnel: TunnelConfiguration, target: Endpoint) {
    self.tunnel = tunnel
    self.target = target
  }
}

/// What a client is told.
public struct ClientConfiguration: Hashable, Sendable {
  /// What both roles are told.
  public var tunnel: TunnelConfiguration
  /// The server's address.
  public var server: IPAddress
  /// The name that the server's address is looked up by; the address is the wildcard then.
  public var serverName: String?
  /// Where the app's datagrams are taken in.
  public var listen: Endpoint
  /// How many channels of each carrier may live at once.
  public var maxChannels: Int
  /// How many of them go to each port.
  public var channelsPerPort = 1
  /// When another channel takes the place of one that lives.
  public var rotation = Rotation.usual
  /// How datagrams are spread over the channels, both ways.
  public var schedule = Schedule.adaptive
  /// For tests: the initial sequence number of each channel.
  public var initialSequence: UInt32?

  /// The families that the server may have addresses of; IPv4 first.
  var families: [AddressFamily] {
    if let local = tunnel.localAddress { return [local.family] }
    guard serverName != nil else { return [server.family] }
    return AddressFamily.allCases.filter(\.isAvailable)
  }

  /// The server as the user named it.
  var serverText: String { serverName ?? "\(server)" }

  /// A configuration from its parts.
  public init(
    tunnel: TunnelConfiguration, server: IPAddress, listen: Endpoint, maxChannels: Int = 16
  ) {
    self.tunnel = tunnel
    self.server = server
    self.listen = listen
    self.maxChannels = maxChannels
  }
}
