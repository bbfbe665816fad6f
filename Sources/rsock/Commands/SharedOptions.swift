// The options that server, client and rules share. Each is kept as text: what it means is judged
// with the file's settings, in one place and with our own sentences.

import ArgumentParser
import Driver

/// The options that both roles have.
struct SharedOptions: ParsableArguments {
  @Option(
    name: [.customShort("p", allowingJoined: true), .long],
    help: ArgumentHelp(
      "The server's ports, for example 80,443,10001-10005; a server with more than 1,024 needs CAP_NET_ADMIN. (default: 10001-10010)",
      valueName: "ports"))
  var ports: String?

  @Option(
    name: [.customShort("d", allowingJoined: true), .long],
    help: ArgumentHelp(
      "Use this network device only. (default: what the route says)", valueName: "device"))
  var dev: String?

  @Option(
    name: .customLong("lcapIp"),
    help: ArgumentHelp(
      "Use this local address. (default: what the route says)", valueName: "address"))
  var lcapIp: String?

  @Option(
    help: ArgumentHelp(
      "What the connections are: tcp (fake TCP), udp, icmp (pings), several as in tcp,udp, or all: tcp and udp. (default: tcp)",
      valueName: "carriers"))
  var type: String?

  @Option(
    help: ArgumentHelp(
      "Forget an app's endpoint after so much silence, 10-6000. (default: 600)",
      valueName: "seconds"))
  var duration: String?

  @Option(
    help: ArgumentHelp(
      "Probe an idle connection after so long, 1-3600; more than 25 counts as 25. (default: 25)",
      valueName: "seconds"))
  var keepalive: String?

  @Option(
    help: ArgumentHelp(
      "The key, in a file that others may not read: a line of rsock keygen; for several clients, on a server, NAME KEY lines.",
      valueName: "path"))
  var keyFile: String?

  @Option(
    help: ArgumentHelp(
      "The key itself, a line of rsock keygen; also in the environment as RSOCK_KEY.",
      valueName: "base64"))
  var key: String?

  @Option(
    help: ArgumentHelp(
      "A passphrase instead of a key, best of 12 characters or more.", valueName: "passphrase"))
  var hash: String?

  @Option(
    help: ArgumentHelp(
      "How data is sealed, with a key; none, at both ends: not at all. (default: auto)",
      valueName: "auto|aes-gcm|chacha20|none"))
  var cipher: String?

  @Option(
    help: ArgumentHelp(
      "Bounds: sessions=4096; channels=256 and flows=1024 a session; handshakes=1000 a second; queued=128k bytes a session. A client has flows and queued.",
      valueName: "name=number,..."))
  var limits: String?

  @Option(
    help: ArgumentHelp(
      "auto: an nftables table of our own, where that is allowed; off: none; print: show it and end. (default: auto)",
      valueName: "auto|off|print"))
  var firewall: String?

  @Option(
    help: ArgumentHelp(
      "auto: the fastest way; raw: by raw IP sockets, so that local OUTPUT rules apply. (default: auto)",
      valueName: "auto|raw"))
  var tx: String?

  @Option(
    help: ArgumentHelp(
      "Mark the tunnel's packets (SO_MARK), so that rules of routing and firewall tell them apart.",
      valueName: "number"))
  var mark: String?

  @Option(
    help: ArgumentHelp("1: go to the background once started. (default: 0)", valueName: "0|1"))
  var daemon: String?

  @Option(
    help: ArgumentHelp(
      "Log to this file. (default: standard error; with --daemon=1 syslog)", valueName: "path"))
  var log: String?

  @Option(
    help: ArgumentHelp(
      "Take requests of rsock status, reconnect and stop at this Unix socket. (default: in the runtime directory)",
      valueName: "path"))
  var control: String?

  @Flag(name: .shortAndLong, help: "Log all that may help to find a fault.")
  var verbose = false

  @Flag(help: "For debugging: do not confine the process.")
  var noSandbox = false

  @Option(
    name: .customShort("f", allowingJoined: true),
    help: ArgumentHelp(
      "Read options from this JSON file; those given here win.", valueName: "path"))
  var file: String?

  @Option(
    name: .customLong("cap_timeout"),
    help: ArgumentHelp("Accepted for the original's sake and ignored.", valueName: "ms"))
  var capTimeout: String?

  @Option(
    name: .customLong("unPath"),
    help: ArgumentHelp("Accepted for the original's sake and ignored.", valueName: "path"))
  var unPath: String?

  /// Everything that was said: these options and those of the command itself over the file.
  func settings(_ own: [SettingName: String?]) throws(StartError) -> Settings {
    let shared: [SettingName: String?] = [
      .ports: ports, .dev: dev, .lcapIp: lcapIp, .type: type, .duration: duration,
      .keepalive: keepalive, .keyFile: keyFile, .key: key, .hash: hash, .cipher: cipher,
      .limits: limits, .firewall: firewall, .tx: tx, .mark: mark, .daemon: daemon,
      .log: log, .control: control, .verbose: verbose ? "1" : nil,
      .noSandbox: noSandbox ? "1" : nil, .capTimeout: capTimeout, .unPath: unPath,
    ]
    let options = shared.merging(own) { _, own in own }.compactMapValues { $0 }
    return try Settings(options: options, file: file, environmentKey: EnvironmentKey.text)
  }
}
