// From all that the user said to the configuration of a server or a client.

package import Driver
package import Engine
import Wire

extension Settings {
  /// A server's configuration.
  package mutating func server() throws(StartError) -> ServerConfiguration {
    var tunnel = try tunnel()
    guard let (target, targetName) = try self[.taddr]?.namedTarget() else {
      throw StartError(
        .usage,
        "--taddr is missing: name the app that gets the datagrams, for example -t 127.0.0.1:9999."
      )
    }
    ignore(.ludp, "only a client listens for apps")
    ignore(.channels, "the client opens the channels")
    ignore(.maxChannels, "the client opens the channels")
    ignore(.rotate, "the client opens the channels")
    ignore(.schedule, "the client says how datagrams are spread, both ways")
    if !tunnel.carriers.contains(where: \.hasPorts) { ignore(.ports, "ICMP has no ports") }
    try protect(
      &tunnel, as: .server, otherwise: "no key: anyone who can reach the ports can use this server")
    tunnel.limits = try self[.limits]?.limits().limits ?? tunnel.limits
    var configuration = ServerConfiguration(tunnel: tunnel, target: target)
    configuration.targetName = targetName
    configuration.decoy = try decoy(for: tunnel.keys, tunnel.carriers)
    try checkRange(of: configuration)
    return configuration
  }

  /// More ports than sockets can hold need rules. A decoy's connections take ports one by one, and Landlock
  /// allows them one by one.
  private func checkRange(of server: ServerConfiguration) throws(StartError) {
    guard server.tunnel.isHeldByRules, let ports = self[.ports] else { return }
    let most = TunnelConfiguration.mostHeldPorts
    if server.tunnel.firewall == .off {
      throw ports.error(
        "has \(server.tunnel.ports.count) ports: use at most \(most), which sockets hold, or --firewall=auto."
      )
    }
    if server.decoy != nil {
      throw ports.error("has \(server.tunnel.ports.count) ports: with --decoy use at most \(most).")
    }
  }

  /// A client's configuration.
  package mutating func client() throws(StartError) -> ClientConfiguration {
    var tunnel = try tunnel()
    let (server, serverName) = try server()
    if let local = tunnel.localAddress, serverName == nil, local.family != server.family {
      throw StartError(
        .usage,
        "--lcapIp: \(local) and the server's address \(server) are not both IPv4 or both IPv6: "
          + "use addresses of one family.")
    }
    guard let listen = try self[.ludp]?.listener() else {
      throw StartError(
        .usage, "--ludp is missing: say where the app sends to, for example -l 127.0.0.1:30000.")
    }
    let most = try self[.maxChannels]?.number(1...64, unit: "channels", sample: "16") ?? 16
    ignore(.decoy, "only a server is probed by strangers")
    try protect(
      &tunnel, as: .client,
      otherwise: "no key: what the tunnel carries can be read and forged on the way"
    )
    tunnel.limits = try clientLimits() ?? tunnel.limits
    var configuration = ClientConfiguration(
      tunnel: tunnel, server: server, listen: listen, maxChannels: most)
    configuration.channelsPerPort = try channels(to: tunnel.ports.count, atMost: most)
    configuration.serverName = serverName
    configuration.rotation = try self[.rotate]?.rotation() ?? configuration.rotation
    configuration.schedule = try self[.schedule]?.word() ?? configuration.schedule
    return configuration
  }

  /// How many channels a client opens to each port.
  private mutating func channels(
    to portCount: Int, atMost most: Int
  ) throws(StartError) -> Int {
    guard let setting = self[.channels] else { return 1 }
    let count = try setting.number(1...64, unit: "channels", sample: "4")
    if count > 1, count * portCount > most {
      notes.append(
        "\(setting.place) is more than --max-channels lets be open at once: \(most) to "
          + "\(portCount) ports")
    }
    return count
  }

  /// What rules for a server need.
  package mutating func serverRules() throws(StartError) -> RulesRole {
    .server(ports: try tunnel().ports)
  }

  /// What rules for a client need.
  package mutating func clientRules() throws(StartError) -> RulesRole {
    .client(
      server: try server(mayBeNamed: false).address,
      ports: try tunnel().ports)
  }

  /// The carriers that rules are for.
  package func carriers() throws(StartError) -> [Carrier] {
    try self[.type]?.carriers() ?? [.tcp]
  }

  /// How to run: the same for both roles. To be asked last: it has the notes of all the others.
  package func process() throws(StartError) -> ProcessConfiguration {
    ProcessConfiguration(
      daemon: try self[.daemon]?.flag() ?? false,
      verbose: try self[.verbose]?.flag() ?? false,
      log: try self[.log]?.path(),
      isSandboxed: try !(self[.noSandbox]?.flag() ?? false),
      notes: notes)
  }

  /// Where and how the process is to be asked.
  package func control() throws(StartError) -> ControlConfiguration {
    ControlConfiguration(path: try self[.control]?.path(), codec: .jsonLines)
  }

  /// Whether `--firewall=print` was said.
  package var printsRules: Bool { self[.firewall]?.text == "print" }

  private mutating func server(
    mayBeNamed: Bool = true
  ) throws(StartError) -> (address: IPAddress, name: String?) {
    guard let taddr = self[.taddr] else {
      throw StartError(
        .usage, "--taddr is missing: name the server, for example --taddr=192.0.2.1.")
    }
    let (address, name, hasPort) = try taddr.serverAddress(mayBeNamed: mayBeNamed)
    if hasPort { notes.append("\(taddr.place): the port is ignored: --ports says the server's") }
    return (address, name)
  }

  private mutating func tunnel() throws(StartError) -> TunnelConfiguration {
    var tunnel = TunnelConfiguration(
      ports: try self[.ports]?.ports() ?? PortSet([10001...10010]))
    tunnel.localAddress = try self[.lcapIp]?.hostAddress()
    tunnel.device = try self[.dev]?.deviceName()
    if let duration = self[.duration] {
      tunnel.idleTimeout = .seconds(try duration.number(10...6000, unit: "seconds", sample: "600"))
    }
    tunnel.keepalive = try self[.keepalive].map { keepalive throws(StartError) in
      .seconds(try keepalive.number(1...3600, unit: "seconds", sample: "25"))
    }
    if let type = self[.type] { tunnel.carriers = try type.carriers() }
    if let firewall = self[.firewall] { tunnel.firewall = try firewall.firewallMode() }
    if let transmit = self[.tx] { tunnel.transmit = try transmit.word() }
    tunnel.mark = try self[.mark]?.mark()
    ignore(.capTimeout, "rsock does not use libpcap")
    ignore(.unPath, "the original did not use it either")
    return tunnel
  }

  /// The bounds that a client has too.
  private mutating func clientLimits() throws(StartError) -> EngineLimits? {
    guard let setting = self[.limits] else { return nil }
    let (limits, named) = try setting.limits()
    let ignored = named.filter(\.isServers).map(\.rawValue)
    if !ignored.isEmpty {
      let names = ignored.joined(separator: ", ")
      notes.append("\(setting.place): \(names): accepted and ignored, a server's limits")
    }
    return limits
  }
}

extension Setting {
  /// The mode; `print` runs nothing, so any mode will do.
  fileprivate func firewallMode() throws(StartError) -> FirewallMode {
    if text == "print" { return .auto }
    guard let mode = FirewallMode(rawValue: text) else {
      throw error("is unknown: use auto, off or print.")
    }
    return mode
  }
}
