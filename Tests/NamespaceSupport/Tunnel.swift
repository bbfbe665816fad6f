// A server, a client, and an app at each end.
//
//   app ── 127.0.0.1:30000 client ~~~~ fake TCP, UDP ~~~~ server ── 127.0.0.1:9999 target

public import Wire

/// What guards the datagrams of a tunnel on their way.
public enum Protection: CaseIterable, Sendable {
  /// Nothing: neither end has a key.
  case plain
  /// A key that both ends have.
  case sealed

  /// What a frame has beside its datagram, in bytes.
  public var overhead: Int { self == .plain ? 8 : 28 }
}

/// A tunnel from a client host to a server host that carries datagrams.
public struct Tunnel: Sendable {
  /// Where the client listens for apps.
  public static let entrance = Endpoint(IPAddress(ipv4: 0x7F00_0001), 30000)
  /// Where the server takes what comes out.
  public static let exit = Endpoint(IPAddress(ipv4: 0x7F00_0001), 9999)

  /// How to start the two programs.
  public struct Options: Sendable {
    /// Whether both have a key.
    public var protection: Protection
    /// The family of the way between them.
    public var family: AddressFamily
    /// What `--type` says.
    public var type: String
    /// The server's ports.
    public var ports: String
    /// More arguments for both.
    public var common: [String] = []
    /// More arguments for the server.
    public var server: [String] = []
    /// More arguments for the client.
    public var client: [String] = []
    /// What setcap gave the binary.
    public var grant = Grant.all

    /// The defaults.
    public init(
      _ protection: Protection = .plain, _ family: AddressFamily = .ipv4, type: String = "tcp",
      ports: String = "10001-10010"
    ) {
      self.protection = protection
      self.family = family
      self.type = type
      self.ports = ports
    }

    /// The carriers, and the key for a tunnel that has one.
    fileprivate func keyArguments() throws -> [String] {
      let type = type == "tcp" ? [] : ["--type=\(type)"]
      return protection == .plain
        ? type : type + ["--key-file=\(try Installation.keyFile.get())"]
    }
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
  /// Where `target` sees `app`.
  public let flow: Endpoint

  /// Starts both and waits until datagrams have come through both ways.
  public init(from clientHost: Host, to serverHost: Host, _ options: Options = Options()) throws {
    let target = try UDPSocket(in: serverHost.namespace, local: Self.exit)
    let server = try serverHost.startRsock(Self.serverArguments(options), grant: options.grant)
    // Before its guards stand, the server's kernel answers a SYN as for any closed port: with RST.
    try server.waitForText("server ready")
    let client = try clientHost.startRsock(
      Self.clientArguments(to: serverHost, options), grant: options.grant)
    let app = try UDPSocket(in: clientHost.namespace, remote: Self.entrance)
    do {
      flow = try Self.join(app, target)
    } catch {
      throw Failure("\(error); server: \(server.errors) client: \(client.errors)")
    }
    self.clientHost = clientHost
    self.serverHost = serverHost
    self.options = options
    self.server = server
    self.client = client
    self.target = target
    self.app = app
  }

  /// The server's command line behind the program's name.
  public static func serverArguments(_ options: Options = Options()) throws -> [String] {
    ["server", "-t", "\(exit)", "--ports=\(options.ports)"] + (try options.keyArguments())
      + options.common + options.server
  }

  /// The client's command line behind the program's name.
  public static func clientArguments(
    to serverHost: Host, _ options: Options = Options(), entrance: Endpoint = entrance
  ) throws -> [String] {
    [
      "client", "-t", "\(serverHost.address(options.family))", "-l", "\(entrance)",
      "--ports=\(options.ports)",
    ]
      + (try options.keyArguments()) + options.common + options.client
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

  /// Sends greetings from `app` until `target` hears one and answers it; returns where `target`
  /// sees `app`. Leaves nothing in the two sockets. What other apps send is passed over.
  public static func join(
    _ app: UDPSocket, _ target: UDPSocket, within limit: Duration = .seconds(10)
  ) throws -> Endpoint {
    let greeting = Array("a greeting".utf8)
    let deadline = now() + limit
    var flow: Endpoint?
    while flow == nil {
      guard now() < deadline else { throw Failure("nothing came through within \(limit)") }
      try app.send(greeting)
      let heard = try target.receive(within: .milliseconds(100))
      if heard?.bytes == greeting { flow = heard?.from }
    }
    try target.send(greeting, to: flow!)
    guard try app.receive()?.bytes == greeting else { throw Failure("no answer came through") }
    try target.drain()
    try app.drain()
    return flow!
  }

  /// Sends a load each way at once and returns what became of the two.
  public func exchange(
    up: Load?, down: Load?, quiet: Duration = .seconds(1)
  ) throws -> (up: Receipt, down: Receipt) {
    try target.connect(to: flow)
    let (app, target) = (app, target)
    let upward = try up.map { try Stream($0, from: app, to: target) }
    let downward = try down.map { try Stream($0, from: target, to: app) }
    return (
      try upward?.finish(quiet: quiet) ?? Receipt(), try downward?.finish(quiet: quiet) ?? Receipt()
    )
  }
}
