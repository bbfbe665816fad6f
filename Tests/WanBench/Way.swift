// The ways that kcptun goes: by itself, and over rsock with each carrier.
//
//   ByteMeter ─► kcptun-client ─► (rsock client ═ link ═ rsock server) ─► kcptun-server ─► ByteSource

import NamespaceSupport
import Wire

/// A carrier as `--type` takes it.
enum Carrier: String, CaseIterable, Sendable {
  case tcp
  case udp
  case all
  case icmp

  /// What the policers of the policed network leave to one port, in Mbit/s; without limit where there are none.
  var policedRate: Double {
    switch self {
    case .tcp: 10
    case .udp: 2
    case .all: 12
    case .icmp: .infinity
    }
  }
}

/// How kcptun's datagrams get to its server.
enum Way: Hashable, Sendable {
  case alone
  case rsock(Carrier)

  /// The ports that an rsock server has.
  static let portCount = 6

  var name: String {
    switch self {
    case .alone: "kcptun alone"
    case .rsock(let carrier): "over rsock \(carrier.rawValue)"
    }
  }
}

/// The programs of one run.
struct Programs {
  /// The same with and without rsock. The window holds 768 packets of 1350 bytes, the path's 1 MB. With the
  /// three of parity to ten it fits the path and its queue; more would lose what it overfills them with.
  static let kcptunOptions = [
    "--mode", "fast2", "--crypt", "aes", "--nocomp", "--sndwnd", "768", "--rcvwnd", "1024",
    "--quiet",
  ]
  static let entrance = Endpoint(Tunnel.entrance.address, 12_948)
  private static let service = Endpoint(Tunnel.entrance.address, 8000)

  let source: ByteSource
  let kcptun: [ChildProcess]
  let rsock: [ChildProcess]

  /// Starts all of them. A carrier that cannot get through is no failure.
  init(_ way: Way, from client: Host, to server: Host, _ protection: Protection) throws {
    var remote = Endpoint(server.address, 29_900)
    var local = remote
    switch way {
    case .alone: rsock = []
    case .rsock(let carrier):
      remote = Tunnel.entrance
      local = Tunnel.exit
      let options = Tunnel.Options(
        protection, type: carrier.rawValue, ports: "10001-\(10_000 + Way.portCount)")
      let rsockServer = try server.startRsock(Tunnel.serverArguments(options))
      try rsockServer.waitForText("server ready")
      let rsockClient = try client.startRsock(Tunnel.clientArguments(to: server, options))
      try? rsockClient.waitForText("connected to the server", atMost: .seconds(3))
      rsock = [rsockServer, rsockClient]
    }
    source = try ByteSource(in: server.namespace, at: Self.service)
    // As urgent as rsock is started.
    let nice = ["nice", "-n", "\(priority)"]
    kcptun = [
      try server.start(
        nice + ["kcptun-server", "-t", "\(Self.service)", "-l", "\(local)"] + Self.kcptunOptions),
      try client.start(
        nice + ["kcptun-client", "-r", "\(remote)", "-l", "\(Self.entrance)"] + Self.kcptunOptions),
    ]
    try wait(for: "kcptun") { try client.run("ss", "-lnt").contains(":\(Self.entrance.port) ") }
  }

  /// The processor time that they have used.
  func processorTime() throws -> Duration {
    try (kcptun + rsock).map { try $0.processorTime() }.reduce(.zero, +)
  }

  /// What the two rsocks said.
  var messages: String { rsock.map(\.errors).joined() }

  /// Ends them; throws where an rsock did not end well.
  func stop() throws {
    for process in kcptun { process.killNow() }
    for process in rsock {
      let status = try process.terminate()
      guard status == .exited(0) else {
        throw Failure("\(process.command) ended with \(status): \(process.errors)")
      }
    }
  }
}

extension Carrier {
  /// Why this rsock does not take it (exit status 64, a usage error); nil where it does.
  func refusal(on host: Host) throws -> String? {
    let options = Tunnel.Options(type: rawValue)
    let process = try host.startRsock(try Tunnel.serverArguments(options))
    try wait(for: "an answer to --type=\(rawValue)") {
      !process.isRunning || process.errors.contains("server ready")
    }
    guard !process.isRunning else {
      try process.terminate()
      return nil
    }
    guard process.wait() == .exited(64) else { throw Failure(process.errors) }
    return String(process.errors.prefix { $0 != "\n" })
  }
}
