// A server, a client, and an app at each end.
//
//   app ── 127.0.0.1:30000 client ~~~~ fake TCP ~~~~ server ── 127.0.0.1:9999 target

public import Wire

/// A tunnel from a client host to a server host that carries datagrams.
public struct Tunnel: Sendable {
  /// Where the client listens for apps.
  public static let entrance = Endpoint(IPv4Address(rawValue: 0x7F00_0001), 30000)
  /// Where the server takes what comes out.
  public static let exit = Endpoint(IPv4Address(rawValue: 0x7F00_0001), 9999)

  /// How to start the two programs.
  public struct Options: Sendable {
    /// The server's ports.
    public var ports = "10001-10010"
    /// More arguments for both.
    public var common: [String] = []
    /// More arguments for the server.
    public var server: [String] = []
    /// More arguments for the client.
    public var client: [String] = []
    /// What setcap gave the binary.
    public var grant = Grant.all

    /// The defaults.
    public init() {}
  }

  /// The host of the client.
  public let clientHost: Host
  /// The host of the server.
  public let serverHost: Host
  /// How both were started.
  public let options: Options
  /// The server's process.
  public let server: ChildProcess
  /// The client's process.
  public let client: ChildProcess
  /// The app at the server's end.
  public let target: UDPSocket
  /// The app at the client's end.
  public let app: UDPSocket

  /// Starts both and waits until datagrams come through both ways; then `app` and `target` are
  /// connected to each other through the tunnel.
  public init(from clientHost: Host, to serverHost: Host, _ options: Options = Options()) throws {
    self.clientHost = clientHost
    self.serverHost = serverHost
    self.options = options
    target = try UDPSocket(in: serverHost.namespace, local: Self.exit)
    server = try serverHost.startRsock(
      Self.serverArguments(options), grant: options.grant)
    client = try clientHost.startRsock(
      Self.clientArguments(to: serverHost, options), grant: options.grant)
    app = try UDPSocket(in: clientHost.namespace, remote: Self.entrance)
    do {
      try join()
    } catch {
      throw Failure("\(error); server: \(server.errors) client: \(client.errors)")
    }
  }

  /// The server's command line behind the program's name.
  public static func serverArguments(_ options: Options = Options()) -> [String] {
    ["server", "-t", "\(exit)", "--ports=\(options.ports)"] + options.common + options.server
  }

  /// The client's command line behind the program's name.
  public static func clientArguments(
    to serverHost: Host, _ options: Options = Options()
  ) -> [String] {
    ["client", "-t", "\(serverHost.address)", "-l", "\(entrance)", "--ports=\(options.ports)"]
      + options.common + options.client
  }

  /// Ends both as a user would, and checks that they end well.
  public func stop() throws {
    for process in [client, server] {
      let status = try process.terminate()
      guard status == .exited(0) else {
        throw Failure("\(process.command) ended with \(status): \(process.errors)")
      }
    }
  }

  private func join() throws {
    let greeting = Array("a greeting".utf8)
    let deadline = now() + .seconds(10)
    var flow: Endpoint?
    while flow == nil, now() < deadline {
      try app.send(greeting)
      flow = try target.receive(within: .milliseconds(200))?.from
    }
    guard let flow else { throw Failure("nothing came through within 10 s") }
    try target.connect(to: flow)
    try target.send(greeting)
    guard try app.receive()?.bytes == greeting else { throw Failure("no answer came through") }
    while try target.receive(within: .milliseconds(100)) != nil {}
  }
}
