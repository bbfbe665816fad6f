// What each key of the configuration file comes to.

import Driver
import Engine
import Samples
import Testing
import Wire
import rsock

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
    tunnel.localAddress = IPAddress("10.0.0.2")
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

  @Test("What came with the keys") func keys() throws {
    var settings = try Self.settings(
      """
      {"param": {"taddr": "10.0.0.1:9", "key-file": "/k", "cipher": "chacha20",
      "limits": "flows=3, queued=2k", "decoy": "10.0.0.2:80"}}
      """)
    let configuration = try settings.server()
    #expect(configuration.tunnel.keys == .file(try KeyFile("/k", for: .server)))
    #expect(configuration.tunnel.cipher == .chaCha20)
    #expect(configuration.tunnel.limits.flowsPerSession == 3)
    #expect(configuration.tunnel.limits.queuedBytes == 2048)
    #expect(configuration.decoy == Endpoint("10.0.0.2:80"))
    #expect(settings.notes == [])
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
