// What each option comes to.

import ArgumentParser
import Driver
import Engine
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

  static let key = "5GDSyHdDdXIbG4UGE2vGiqoJHZLTkf6xk7xHmvAkzTk="
  static let otherKey = "pXJx0hCA3wLmKZlQ0oZQnCqp1hIZl1CePDZsYvYVJ1E="
  static let keys = KeySource.key(base64: key)!
  static let otherKeys = KeySource.key(base64: otherKey)!

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
    #expect(dialling.server == IPAddress("10.0.0.1"))
    #expect(dialling.listen == Endpoint("127.0.0.1:30000"))
    #expect(dialling.maxChannels == 16 && dialling.channelsPerPort == 1)
    #expect(dialling.schedule == .adaptive && dialling.rotation == .usual)
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
    ("--lcapIp=10.0.0.2", { $0.localAddress = IPAddress("10.0.0.2") }),
    ("--lcapIp 10.0.0.2", { $0.localAddress = IPAddress("10.0.0.2") }),
    ("--duration=10", { $0.idleTimeout = .seconds(10) }),
    ("--duration 6000", { $0.idleTimeout = .seconds(6000) }),
    ("--keepalive=4", { $0.keepalive = .seconds(4) }),
    ("--type=tcp", { _ in }),
    ("--type=tcp,tcp", { _ in }),
    ("--type=udp", { $0.carriers = [.udp] }),
    ("--type=udp,tcp", { $0.carriers = [.tcp, .udp] }),
    ("--type=all", { $0.carriers = [.tcp, .udp] }),
    ("--type=all,udp", { $0.carriers = [.tcp, .udp] }),
    ("--type=icmp", { $0.carriers = [.icmp] }),
    ("--type=icmp,udp,tcp", { $0.carriers = [.tcp, .udp, .icmp] }),
    ("--firewall=off", { $0.firewall = .off }),
    ("--firewall=auto", { _ in }),
    ("--tx=raw", { $0.transmit = .raw }),
    ("--tx auto", { _ in }),
    ("--mark=81", { $0.mark = 81 }),
    ("--mark 0x51", { $0.mark = 81 }),
    ("--mark=0XFFFFFFFF", { $0.mark = .max }),
    ("--hash=hello135", { _ in }),
    ("--key=\(key)", { $0.keys = keys }),
    ("--key \(key)", { $0.keys = keys }),
    ("--key=\(key) --hash=hello135", { $0.keys = keys }),
    ("--hash=correct-horse", { $0.keys = try .passphrase("correct-horse") }),
    ("--key-file=/etc/key", { $0.keys = .file(try KeyFile("/etc/key", for: .server)) }),
    ("--key-file key", { $0.keys = .file(try KeyFile("key", for: .server)) }),
    ("--cipher=auto", { _ in }),
    ("--cipher=none", { $0.cipher = .none }),
    (
      "--cipher=aes-gcm --key=\(key)",
      {
        $0.cipher = .aesGCM
        $0.keys = keys
      }
    ),
    (
      "--key=\(key) --cipher=chacha20",
      {
        $0.cipher = .chaCha20
        $0.keys = keys
      }
    ),
    ("--limits=sessions=16384", { $0.limits.sessions = 16_384 }),
    (
      "--limits=queued=64k,channels=1,flows=2,handshakes=3",
      {
        $0.limits.queuedBytes = 65_536
        $0.limits.channelsPerSession = 1
        $0.limits.flowsPerSession = 2
        $0.limits.handshakesPerSecond = 3
      }
    ),
    ("--limits queued=64m", { $0.limits.queuedBytes = 64 << 20 }),
    ("--limits=queued=1024", { $0.limits.queuedBytes = 1024 }),
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
    var settings = try Self.client(
      "-t 10.0.0.1:99 --ludp=0.0.0.0:1 --max-channels=64 -p 1-60000 --schedule=redundant")
    let configuration = try settings.client()
    #expect(configuration.server == IPAddress("10.0.0.1"))
    #expect(configuration.listen == Endpoint(.any, 1))
    #expect(configuration.maxChannels == 64)
    #expect(configuration.schedule == .redundant)
    #expect(configuration.tunnel.ports.count == 60000)
    #expect(settings.notes.first == "--taddr: the port is ignored: --ports says the server's")
  }

  @Test("Channels to each port", arguments: [1, 8, 9])
  func channels(count: Int) throws {
    var settings = try Self.client(
      "-t 10.0.0.1 -l 127.0.0.1:1 -p 443,8443 --channels=\(count) --key=\(Self.key)")
    #expect(try settings.client().channelsPerPort == count)
    let tooMany = "--channels is more than --max-channels lets be open at once: 16 to 2 ports"
    #expect(settings.notes == (count > 8 ? [tooMany] : []))
  }

  @Test(
    "Rotation",
    arguments: [
      ("off", Rotation()), ("10m,1G", Rotation(age: .seconds(600), bytes: 1 << 30)),
      ("16k", Rotation(bytes: 16 << 10)),
      ("30G,720h", Rotation(age: .seconds(2_592_000), bytes: 30 << 30)),
      ("10s", Rotation(age: .seconds(10))), ("7M", Rotation(bytes: 7 << 20)),
    ])
  func rotation(text: String, rotation: Rotation) throws {
    var settings = try Self.client("-t 10.0.0.1 -l 127.0.0.1:1 --rotate=\(text) --key=\(Self.key)")
    #expect(try settings.client().rotation == rotation)
    #expect(settings.notes.isEmpty)
  }

  @Test("Names") func names() throws {
    var client = try Self.client("-t vpn.example -l 127.0.0.1:1")
    let configuration = try client.client()
    #expect(configuration.serverName == "vpn.example" && configuration.server == .any)
    var noted = try Self.client("-t vpn-1.example:443 -l 127.0.0.1:1")
    #expect(try noted.client().serverName == "vpn-1.example")
    #expect(noted.notes.first == "--taddr: the port is ignored: --ports says the server's")
    let options = try ServerOptions.parse(["-t", "localhost:9999"])
    var server = try options.settings()
    let serving = try server.server()
    #expect(serving.targetName == "localhost" && serving.target == Endpoint(.any, 9999))
    var plain = try Self.server("")
    #expect(try plain.server().targetName == nil)
  }

  @Test("Where the control socket is") func control() throws {
    #expect(try Self.server("").control().path == nil)
    #expect(try Self.server("--control=/run/x.sock").control().path == "/run/x.sock")
  }

  static let notes: [(String, [String])] = [
    ("", [open]),
    ("--hash=hello135", [open]),
    ("--key=\(key)", []),
    ("--key-file=/etc/key", []),
    ("--hash=twelve-chars", []),
    (
      "--hash=eleven-char",
      [
        "--hash: this passphrase is short, and who captures the first message of a connection can "
          + "guess it offline: use 12 characters or more, or a key of rsock keygen"
      ]
    ),
    ("--cipher=none", [open]),
    (
      "--cipher=none --key=\(key)",
      [
        "--cipher: nobody without the key is let in, but what the tunnel carries can be read and "
          + "forged on the way"
      ]
    ),
    (
      "--cap_timeout=x",
      ["--cap_timeout is accepted and ignored: rsock does not use libpcap", open]
    ),
    ("--unPath=x", ["--unPath is accepted and ignored: the original did not use it either", open]),
    ("--type=icmp -p 7", ["--ports is accepted and ignored: ICMP has no ports", open]),
    ("--type=icmp,udp -p 7", [open]),
    ("-l 1", ["--ludp is accepted and ignored: only a client listens for apps", open]),
  ]
  static let open = "no key: anyone who can reach the ports can use this server"

  @Test("What the user is told", arguments: notes)
  func told(_ line: String, _ expected: [String]) throws {
    var settings = try Self.server(line)
    _ = try settings.server()
    #expect(settings.notes == expected)
  }

  @Test("A decoy needs a key") func decoy() throws {
    var settings = try Self.server("--decoy=192.0.2.7:443 --key=\(Self.key)")
    #expect(try settings.server().decoy == Endpoint("192.0.2.7:443"))
  }

  @Test("A client's keys, and the limits that it has") func clientLimits() throws {
    var settings = try Self.client(
      "-t 10.0.0.1 -l 127.0.0.1:1 --key-file=/k --limits=sessions=1,flows=2,handshakes=3,queued=4k")
    let tunnel = try settings.client().tunnel
    #expect(tunnel.keys == .file(try KeyFile("/k", for: .client)))
    #expect(tunnel.limits.flowsPerSession == 2 && tunnel.limits.queuedBytes == 4096)
    #expect(
      settings.notes == ["--limits: sessions, handshakes: accepted and ignored, a server's limits"])
  }
}
