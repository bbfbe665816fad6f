// What each option and each key of the file comes to.

import ArgumentParser
import Driver
import Testing
import Wire
import rsock

@Suite("Settings") struct SettingsTests {
  /// A server's settings from a line as a user types it.
  static func server(_ line: String) throws -> Settings {
    let words = line.split(separator: " ").map(String.init)
    return try ServerOptions.parse(["-t", "127.0.0.1:9999"] + words).settings()
  }

  static func client(_ line: String) throws -> Settings {
    try ClientOptions.parse(line.split(separator: " ").map(String.init)).settings()
  }

  static func ports(_ text: String) throws -> PortSet { try PortSet(parsing: text) }

  @Test("The original's command lines") func original() throws {
    var server = try ServerOptions.parse(["-t", "127.0.0.1:9999"]).settings()
    let serving = try server.server()
    #expect(serving.target == Endpoint("127.0.0.1:9999"))
    #expect(serving.tunnel == TunnelConfiguration(ports: try Self.ports("10001-10010")))
    #expect(serving.tunnel.idleTimeout == .seconds(600))
    #expect(serving.tunnel.keepalive == nil && serving.tunnel.device == nil)

    var client = try Self.client("--taddr=10.0.0.1 -l 127.0.0.1:30000")
    let dialling = try client.client()
    #expect(dialling.server == IPv4Address("10.0.0.1"))
    #expect(dialling.listen == Endpoint("127.0.0.1:30000"))
    #expect(dialling.maxChannels == 16)
    #expect(dialling.tunnel == serving.tunnel)
    #expect(try client.process().daemon == false)
  }

  static let lines: [(String, @Sendable (inout TunnelConfiguration) throws -> Void)] = [
    ("-p 443", { $0.ports = try ports("443") }),
    ("-p443", { $0.ports = try ports("443") }),
    ("-p 80,443,10001-10010", { $0.ports = try ports("80,443,10001-10010") }),
    ("--ports=5-5,5,4-6", { $0.ports = try ports("4-6") }),
    ("-d eth0", { $0.device = "eth0" }),
    ("--dev=eth0", { $0.device = "eth0" }),
    ("--lcapIp=10.0.0.2", { $0.localAddress = IPv4Address("10.0.0.2") }),
    ("--lcapIp 10.0.0.2", { $0.localAddress = IPv4Address("10.0.0.2") }),
    ("--duration=10", { $0.idleTimeout = .seconds(10) }),
    ("--duration 6000", { $0.idleTimeout = .seconds(6000) }),
    ("--keepalive=4", { $0.keepalive = .seconds(4) }),
    ("--type=tcp", { _ in }),
    ("--type=tcp,tcp", { _ in }),
    ("--firewall=off", { $0.firewall = .off }),
    ("--firewall=auto", { _ in }),
    ("--tx=raw", { $0.transmit = .raw }),
    ("--tx auto", { _ in }),
    ("--schedule=random", { _ in }),
    ("--hash=secret", { _ in }),
    ("--cap_timeout=10", { _ in }),
    ("--unPath=/tmp/x", { _ in }),
    ("-l 127.0.0.1:1", { _ in }),
  ]

  @Test("Each option in each form", arguments: lines)
  func option(_ line: String, _ change: @Sendable (inout TunnelConfiguration) throws -> Void) throws
  {
    var expected = TunnelConfiguration(ports: try Self.ports("10001-10010"))
    try change(&expected)
    var settings = try Self.server(line)
    #expect(try settings.server().tunnel == expected)
  }

  @Test("Spaces in a list of ports") func spaces() throws {
    let options = try ServerOptions.parse(["-t", "1.2.3.4:5", "--ports=10001 - 10005, 80"])
    var settings = try options.settings()
    #expect(try settings.server().tunnel.ports == Self.ports("80,10001-10005"))
  }

  static let processes: [(String, ProcessConfiguration)] = [
    ("", ProcessConfiguration()),
    ("--daemon=0", ProcessConfiguration()),
    ("--daemon=1", ProcessConfiguration(daemon: true)),
    ("--daemon 1", ProcessConfiguration(daemon: true)),
    ("-v", ProcessConfiguration(verbose: true)),
    ("--verbose", ProcessConfiguration(verbose: true)),
    ("--log /tmp/rsock.log", ProcessConfiguration(log: "/tmp/rsock.log")),
    ("--log=/tmp/rsock.log", ProcessConfiguration(log: "/tmp/rsock.log")),
    ("--no-sandbox", ProcessConfiguration(isSandboxed: false)),
  ]

  @Test("How to run", arguments: processes)
  func process(_ line: String, _ expected: ProcessConfiguration) throws {
    #expect(try Self.server(line).process() == expected)
  }

  @Test("The client's own options") func clientOptions() throws {
    var settings = try Self.client("-t 10.0.0.1:99 --ludp=0.0.0.0:1 --max-channels=64 -p 1-60000")
    let configuration = try settings.client()
    #expect(configuration.server == IPv4Address("10.0.0.1"))
    #expect(configuration.listen == Endpoint(.any, 1))
    #expect(configuration.maxChannels == 64)
    #expect(configuration.tunnel.ports.count == 60000)
    #expect(settings.notes.first == "--taddr: the port is ignored: --ports says the server's")
  }

  static let notes: [(String, [String])] = [
    ("", [open]),
    ("--hash=hello135", [open]),
    ("--hash=secret", ["--hash does not protect yet; \(open)"]),
    (
      "--cap_timeout=x",
      ["--cap_timeout is accepted and ignored: rsock does not use libpcap", open]
    ),
    ("--unPath=x", ["--unPath is accepted and ignored: the original did not use it either", open]),
    ("-l 1", ["--ludp is accepted and ignored: only a client listens for apps", open]),
  ]
  static let open = "no key: anyone who can reach the ports can use this server"

  @Test("What the user is told", arguments: notes)
  func told(_ line: String, _ expected: [String]) throws {
    var settings = try Self.server(line)
    _ = try settings.server()
    #expect(settings.notes == expected)
  }
}

@Suite("Configuration file") struct ConfigurationFileTests {
  static func settings(_ json: String, _ options: [SettingName: String] = [:]) throws -> Settings {
    let scratch = Scratch()
    return try Settings(options: options, file: scratch.file("rsock.json", json))
  }

  /// As the original's `RConfig::to_json` writes it.
  static let original = """
    {"daemon": true, "log": "/var/log/rsock/rsock.log", "param": {"cap_timeout": 10, "dev": "eth0",
    "duration": 300, "hash": "hello135", "keepalive": 4, "lcapIp": "10.0.0.2", "ludp": "",
    "ports": "80,10001-10010", "taddr": "127.0.0.1:9999", "type": "tcp", "unPath": ""},
    "server": true, "verbose": false}
    """

  @Test("The original's own") func own() throws {
    var settings = try Self.settings(Self.original)
    let configuration = try settings.server()
    var tunnel = TunnelConfiguration(ports: try PortSet(parsing: "80,10001-10010"))
    tunnel.device = "eth0"
    tunnel.localAddress = IPv4Address("10.0.0.2")
    tunnel.idleTimeout = .seconds(300)
    tunnel.keepalive = .seconds(4)
    #expect(configuration.tunnel == tunnel)
    #expect(configuration.target == Endpoint("127.0.0.1:9999"))
    let process = try settings.process()
    #expect(process.daemon && !process.verbose && process.log == "/var/log/rsock/rsock.log")
    #expect(process.notes.count == 3)
    #expect(process.notes[0].hasPrefix("\"server\" in "))
    #expect(process.notes[1].hasPrefix("\"cap_timeout\" in "))
    #expect(process.notes[2] == SettingsTests.open)
  }

  @Test("Numbers as strings, and the other way round") func kinds() throws {
    var settings = try Self.settings(
      """
      {"daemon": "1", "verbose": 1, "no-sandbox": true, "param": {"ports": 443, "duration": "10", "keepalive": "7",
      "cap_timeout": "10", "taddr": "10.0.0.1:9", "dev": null, "max-channels": 3, "tx": "raw"}}
      """)
    let configuration = try settings.server()
    #expect(configuration.tunnel.ports == PortSet([443...443]))
    #expect(configuration.tunnel.idleTimeout == .seconds(10))
    #expect(configuration.tunnel.keepalive == .seconds(7))
    #expect(configuration.tunnel.device == nil && configuration.tunnel.transmit == .raw)
    let process = try settings.process()
    #expect(process.daemon && process.verbose && !process.isSandboxed)
  }

  @Test("Options win over the file, the file over the defaults") func precedence() throws {
    var settings = try Self.settings(
      Self.original, [.ports: "443", .taddr: "10.0.0.9:1", .daemon: "0", .dev: "wlan0"])
    let configuration = try settings.server()
    #expect(configuration.tunnel.ports == PortSet([443...443]))
    #expect(configuration.target == Endpoint("10.0.0.9:1"))
    #expect(configuration.tunnel.device == "wlan0")
    #expect(configuration.tunnel.idleTimeout == .seconds(300))
    #expect(try settings.process().daemon == false)
    #expect(try settings.process().log == "/var/log/rsock/rsock.log")
  }

  @Test("A wrong value in the file does no harm where an option replaces it") func replaced() throws
  {
    var settings = try Self.settings(
      "{\"param\": {\"ports\": \"0\"}}", [.ports: "443", .taddr: "10.0.0.9:1"])
    #expect(try settings.server().tunnel.ports == PortSet([443...443]))
  }

  @Test("An unknown key is named, and where it belongs") func unknown() throws {
    let settings = try Self.settings("{\"ports\": 1, \"colour\": 2, \"param\": {\"log\": \"x\"}}")
    #expect(settings.notes.count == 3)
    #expect(settings.notes[0].hasPrefix("unknown key \"colour\" in "))
    #expect(settings.notes[0].hasSuffix(" is ignored"))
    #expect(settings.notes[1].hasSuffix(" is ignored: it belongs inside \"param\""))
    #expect(settings.notes[2].hasSuffix(" is ignored: it belongs outside \"param\""))
    #expect(settings[.ports] == nil && settings[.log] == nil)
  }
}
