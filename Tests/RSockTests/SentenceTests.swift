// Every wrong option gives one sentence on standard error, and an exit code.

import Samples
import Testing

@Suite("Wrong input") struct SentenceTests {
  static let server = ["server", "-t", "127.0.0.1:9999"]
  static let client = ["client", "--taddr=192.0.2.1", "-l", "127.0.0.1:30000"]

  /// Arguments, and the sentence without the program's name.
  static let sentences: [([String], String)] = [
    (["-t", "127.0.0.1:9999"], noCommand("-t")),
    (["sever"], noCommand("sever")),
    (["server", "--port=1"], "unknown option '--port'. Did you mean '--ports'? \(serverHelp)"),
    (["server", "-x"], "unknown option '-x'. \(serverHelp)"),
    (["server", "again"], "unexpected argument 'again'. \(serverHelp)"),
    (["server", "-t"], "missing value for '-t'. \(serverHelp)"),
    (["server", "--daemon"], "missing value for '--daemon <0|1>'. \(serverHelp)"),
    (["rules", "both"], "unexpected argument 'both'. See: rsock rules --help"),

    (
      ["server"],
      "--taddr is missing: name the app that gets the datagrams, for example -t 127.0.0.1:9999."
    ),
    (
      ["server", "-t", "127.0.0.1"],
      "--taddr: \"127.0.0.1\" has no port: write, for example, --taddr=127.0.0.1:9999."
    ),
    (["server", "-t", "127.0.0.1:0"], badPort("127.0.0.1:0", "0")),
    (["server", "-t", "127.0.0.1:70000"], badPort("127.0.0.1:70000", "70000")),
    (["server", "-t", "127.0.0.1:"], badPort("127.0.0.1:", "")),
    (
      ["server", "-t", ":9999"],
      "--taddr: \":9999\" has no address: write, for example, --taddr=127.0.0.1:9999."
    ),
    (
      ["server", "-t", "::1"],
      "--taddr: \"::1\" has no port: write, for example, --taddr=[::1]:9999."
    ),
    (["server", "-t", "[::1]:0"], badPort("[::1]:0", "0")),
    (
      ["server", "-t", "[::1:9999"],
      "--taddr: \"[::1:9999\" has no \"]\" behind the address: write it like [2001:db8::1]:9999."
    ),
    (
      ["server", "-t", "[127.0.0.1]:9999"],
      "--taddr: \"[127.0.0.1]:9999\" is not an IPv6 address: write it like 2001:db8::1, with a port [2001:db8::1]:9999."
    ),
    (
      ["server", "-t", "[::1]9999"],
      "--taddr: \"[::1]9999\" is not an IPv6 address: write it like 2001:db8::1, with a port [2001:db8::1]:9999."
    ),
    (
      ["server", "-t", "[::]:9999"],
      "--taddr: \"[::]:9999\" is not the address of a host: for the app on this one use --taddr=127.0.0.1:9999."
    ),
    (
      ["server", "-t", "[fe80::1]:9999"],
      "--taddr: \"[fe80::1]:9999\" is a link-local address, which is another host's on each link: use one of a wider scope."
    ),
    (
      ["server", "-t", "app.example:0"],
      "--taddr: \"app.example:0\" has \"0\" for a port: use 1-65535, for example --taddr=127.0.0.1:9999."
    ),
    (
      ["server", "-t", "10.0.0.300:9999"],
      "--taddr: \"10.0.0.300:9999\" is not an IPv4 address: write it like 192.0.2.1, without leading zeros."
    ),
    (
      ["server", "-t", "a;b:9999"],
      "--taddr: \"a;b:9999\" is not an IPv4 address: write it like 192.0.2.1, without leading zeros."
    ),
    (
      ["server", "-t", "0.0.0.0:9999"],
      "--taddr: \"0.0.0.0:9999\" is not the address of a host: for the app on this one use --taddr=127.0.0.1:9999."
    ),
    (
      ["server", "-t", "\u{1b}[2J\n"],
      "--taddr: \"\\u{1b}[2J\\n\" is not an IPv4 address: write it like 192.0.2.1, without leading zeros."
    ),

    (
      ["client", "-l", "127.0.0.1:30000"],
      "--taddr is missing: name the server, for example --taddr=192.0.2.1."
    ),
    (
      ["client", "-t", "192.0.2.1"],
      "--ludp is missing: say where the app sends to, for example -l 127.0.0.1:30000."
    ),
    (
      ["client", "-t", "192.0.2.1", "-l", "127.0.0.1"],
      "--ludp: \"127.0.0.1\" has no port: write, for example, --ludp=127.0.0.1:30000."
    ),
    (
      ["client", "-t", "192.0.2.1", "-l", "127.0.0.1:0"],
      "--ludp: \"127.0.0.1:0\" has \"0\" for a port: use 1-65535, for example --ludp=127.0.0.1:30000."
    ),
    (
      ["client", "-t", "192.0.2.1", "-l", "224.0.0.1:9"],
      "--ludp: \"224.0.0.1:9\" is not an address to listen at: for apps on this host use --ludp=127.0.0.1:30000."
    ),
    (
      ["client", "-t", "2001:db8::x", "-l", "127.0.0.1:9"],
      "--taddr: \"2001:db8::x\" is not an IPv6 address: write it like 2001:db8::1, with a port [2001:db8::1]:9999."
    ),
    (
      ["client", "-t", "ff02::1", "-l", "127.0.0.1:9"],
      "--taddr: \"ff02::1\" is not the address of a host."
    ),
    (
      ["client", "-t", "2001:db8::1", "-l", "[ff02::1]:9"],
      "--ludp: \"[ff02::1]:9\" is not an address to listen at: for apps on this host use --ludp=127.0.0.1:30000."
    ),
    (
      ["client", "-t", "2001:db8::1", "-l", "127.0.0.1:9", "--lcapIp=192.0.2.1"],
      "--lcapIp: 192.0.2.1 and the server's address 2001:db8::1 are not both IPv4 or both IPv6: use addresses of one family."
    ),
    (
      ["client", "-t", "192.0.2.1", "-l", "app.example:9"],
      "--ludp: \"app.example:9\" is a name where only an address will do: find one with: getent ahosts app.example"
    ),
    (
      ["rules", "client", "-t", "vpn.example"],
      "--taddr: \"vpn.example\" is a name where only an address will do: find one with: getent ahosts vpn.example"
    ),
    (["client", "-t", "192.0.2.1", "-l", "127.0.0.1:9", "--mark=0"], badMark("0")),
    (["server", "-t", "127.0.0.1:9", "--mark=-1"], badMark("-1")),
    (["server", "-t", "127.0.0.1:9", "--mark=0x"], badMark("0x")),
    (["server", "-t", "127.0.0.1:9", "--mark=+5"], badMark("+5")),
    (["server", "-t", "127.0.0.1:9", "--mark=0x1ffffffff"], badMark("0x1ffffffff")),
    (["server", "--control="], "missing value for '--control <path>'. \(serverHelp)"),
    (
      ["client", "-t", "255.255.255.255", "-l", "127.0.0.1:9"],
      "--taddr: \"255.255.255.255\" is not the address of a host."
    ),
    (
      client + ["--channels=0"],
      "--channels: \"0\" is no number of channels from 1 to 64: for example --channels=4."
    ),
    (
      client + ["--rotate=5"],
      "--rotate: \"5\" is neither a time (s, m, h) nor a number of bytes (k, M, G): "
        + "for example --rotate=10m,1G, or off."
    ),
    (client + ["--rotate=5s"], "--rotate: \"5s\" is out of range: use a time from 10s to 720h."),
    (
      client + ["--rotate=10m,15k"],
      "--rotate: \"10m,15k\" has \"15k\", which is out of range: use a number of bytes from 16k to 30G."
    ),
    (
      client + ["--rotate=99999999999999999999G"],
      "--rotate: \"99999999999999999999G\" is neither a time (s, m, h) "
        + "nor a number of bytes (k, M, G): for example --rotate=10m,1G, or off."
    ),
    (client + ["--rotate=1G,2G"], "--rotate: \"1G,2G\" has two numbers of bytes: one is enough."),
    (client + ["--rotate=10m,1h"], "--rotate: \"10m,1h\" has two times: one is enough."),
    (
      client + ["--max-channels=0"],
      "--max-channels: \"0\" is no number of channels from 1 to 64: for example --max-channels=16."
    ),
    (
      client + ["--max-channels=65"],
      "--max-channels: \"65\" is no number of channels from 1 to 64: for example --max-channels=16."
    ),

    (server + ["-p", "70000"], "--ports: \"70000\" is not a port: \(portRemedy)"),
    (server + ["-p", "0"], "--ports: \"0\" is not a port: \(portRemedy)"),
    (
      server + ["-p", "80,http"],
      "--ports: \"80,http\" has \"http\", which is not a port: \(portRemedy)"
    ),
    (server + ["-p", "80,,443"], "--ports: \"80,,443\" has a comma without a port: \(portRemedy)"),
    (server + ["-p", ""], "--ports: \"\" names no port: \(portRemedy)"),
    (server + ["-p", "10-5"], "--ports: \"10-5\" ends before it starts: write --ports=5-10."),
    (
      server + ["-p", "20000-50000", "--firewall=off"],
      "--ports: \"20000-50000\" has 30001 ports: use at most 1024, which sockets hold, or --firewall=auto."
    ),
    (
      server + ["-p", "20000-50000", "--decoy=127.0.0.1:80", "--hash=correct horse"],
      "--ports: \"20000-50000\" has 30001 ports: with --decoy use at most 1024."
    ),
    (
      client + ["-p", (1...1025).map { "\(2 * $0)" }.joined(separator: ",")],
      "--ports has 1025 ranges of ports: use at most 1024."
    ),
    (
      server + ["--duration=9"],
      "--duration: \"9\" is no number of seconds from 10 to 6000: for example --duration=600."
    ),
    (
      server + ["--duration=6001"],
      "--duration: \"6001\" is no number of seconds from 10 to 6000: for example --duration=600."
    ),
    (
      server + ["--duration=10m"],
      "--duration: \"10m\" is no number of seconds from 10 to 6000: for example --duration=600."
    ),
    (
      server + ["--keepalive=0"],
      "--keepalive: \"0\" is no number of seconds from 1 to 3600: for example --keepalive=25."
    ),
    (
      server + ["--type=sctp"],
      "--type: \"sctp\" is unknown: use tcp, udp, icmp, several as in tcp,udp, or all."
    ),
    (
      server + ["--type=tcp,"],
      "--type: \"tcp,\" is unknown: use tcp, udp, icmp, several as in tcp,udp, or all."
    ),
    (
      server + ["--type=udp,icmp", "--decoy=127.0.0.1:80", "--hash=correct-horse"],
      "--decoy: \"127.0.0.1:80\" is shown to TCP connections, and there are none: use --type=tcp or all."
    ),
    (
      server + ["--type=udp", "--decoy=127.0.0.1:80", "--hash=correct-horse"],
      "--decoy: \"127.0.0.1:80\" is shown to TCP connections, and there are none: use --type=tcp or all."
    ),
    (server + ["--daemon=2"], "--daemon: \"2\" is neither 0 nor 1: use --daemon=1 or --daemon=0."),
    (server + ["--tx=fast"], "--tx: \"fast\" is unknown: use auto or raw."),
    (
      client + ["--schedule=best"],
      "--schedule: \"best\" is unknown: use adaptive or random or sticky or redundant."
    ),
    (server + ["--key=sesame"], "--key: \(noKey)"),
    (server + ["--key", "sesame"], "--key: \(noKey)"),
    (client + ["--key="], "missing value for '--key <base64>'. See: rsock client --help"),
    (client + ["--key=\(SettingsTests.key.dropLast())"], "--key: \(noKey)"),
    (
      server + ["--hash", ""],
      "--hash: the value is empty: give a passphrase, or use a key of rsock keygen."
    ),
    (
      server + ["--hash", "open", "sesame", "again"],
      "2 unexpected arguments: '***', '***'. \(serverHelp)"
    ),
    (["--key=\(SettingsTests.key)", "server"], noCommand("--key=***")),
    (server + ["-k", SettingsTests.key], "unknown option '-k'. \(serverHelp)"),
    (["keygen", SettingsTests.key], "unexpected argument '***'. See: rsock keygen --help"),
    (
      server + ["--key=\(SettingsTests.key)", "--hash=sesame"],
      "--key and --hash are different ways to give the key: use one of them."
    ),
    (
      server + ["--key-file=\(SettingsTests.key)"],
      "--key-file: the value is a key, not the path of a file with one: keys are for --key."
    ),
    (
      server + ["--key-file", ""],
      "--key-file: \"\" is no path: for example --key-file=/etc/rsock/key."
    ),
    (
      server + ["--cipher=aes"],
      "--cipher: \"aes\" is unknown: use auto or aes-gcm or chacha20 or none."
    ),
    (server + ["--cipher=aes-gcm"], "--cipher: \"aes-gcm\" has no key to work with: \(keyRemedy)"),
    (
      client + ["--cipher=chacha20"], "--cipher: \"chacha20\" has no key to work with: \(keyRemedy)"
    ),
    (
      server + ["--decoy=127.0.0.1:80"],
      "--decoy: \"127.0.0.1:80\" has no key to tell strangers by: \(keyRemedy)"
    ),
    (
      server + ["--decoy=127.0.0.1"],
      "--decoy: \"127.0.0.1\" has no port: write, for example, --decoy=127.0.0.1:80."
    ),
    (
      server + ["--decoy=0.0.0.0:80"],
      "--decoy: \"0.0.0.0:80\" is not the address of a host: for a web server on this one use --decoy=127.0.0.1:80."
    ),
    (
      client + ["--decoy=127.0.0.1:80"],
      "unknown option '--decoy'. Did you mean '--dev'? See: rsock client --help"
    ),
    (
      server + ["--limits=flows"],
      "--limits: \"flows\" has \"flows\", which is not NAME=NUMBER: for example --limits=sessions=100."
    ),
    (
      server + ["--limits=sessions=1,"],
      "--limits: \"sessions=1,\" has \"\", which is not NAME=NUMBER: for example --limits=sessions=100."
    ),
    (
      server + ["--limits=session=1"],
      "--limits: \"session=1\" has \"session\", which is no limit: use sessions or channels or flows or handshakes or queued."
    ),
    (server + ["--limits=sessions=0"], limit("sessions=0", "0", "sessions", "1-16384")),
    (server + ["--limits=sessions=16385"], limit("sessions=16385", "16385", "sessions", "1-16384")),
    (server + ["--limits=channels=-1"], limit("channels=-1", "-1", "channels", "1-1024")),
    (server + ["--limits=flows=1k"], limit("flows=1k", "1k", "flows", "1-16384")),
    (server + ["--limits=handshakes="], limit("handshakes=", "", "handshakes", "1-100000")),
    (server + ["--limits=queued=1023"], limit("queued=1023", "1023", "queued", "1k-64m")),
    (server + ["--limits=queued=65m"], limit("queued=65m", "65m", "queued", "1k-64m")),
    (server + ["--limits=queued=k"], limit("queued=k", "k", "queued", "1k-64m")),
    (
      client + ["--limits=queued=99999999999999999999m"],
      limit("queued=99999999999999999999m", "99999999999999999999m", "queued", "1k-64m")
    ),
    (
      server + ["--limits=flows=1,flows=2"],
      "--limits: \"flows=1,flows=2\" has flows twice: once is enough."
    ),
    (server + ["--firewall=on"], "--firewall: \"on\" is unknown: use auto, off or print."),
    (
      server + ["--lcapIp=eth0"],
      "--lcapIp: \"eth0\" is not an IPv4 address: write it like 192.0.2.1, without leading zeros."
    ),
    (
      server + ["--dev=a-name-too-long-for-linux"],
      "--dev: \"a-name-too-long-for-linux\" cannot be a network device: see their names with: ip link"
    ),
  ]

  static let serverHelp = "See: rsock server --help"
  static let portRemedy = "use 1-65535, for example --ports=10001-10010."
  static func noCommand(_ word: String) -> String {
    "\"\(word)\" is no command: use server or client or status or reconnect or stop or rules or keygen, for example: rsock server -t 127.0.0.1:9999"
  }
  static let noKey =
    "the value is not 32 bytes of base64: make a key with rsock keygen; a passphrase is for --hash."
  static let keyRemedy = "give one with --key-file, or leave this out."
  static func limit(_ text: String, _ value: String, _ name: String, _ range: String) -> String {
    "--limits: \"\(text)\" has \"\(value)\" for \(name): use a number of \(range)."
  }
  static func badMark(_ text: String) -> String {
    "--mark: \"\(text)\" is no mark: use a number from 1 to 4294967295, for example --mark=0x51."
  }

  static func badPort(_ text: String, _ port: String) -> String {
    "--taddr: \"\(text)\" has \"\(port)\" for a port: use 1-65535, for example --taddr=127.0.0.1:9999."
  }

  @Test("of the command line", arguments: sentences)
  func usage(_ arguments: [String], _ sentence: String) {
    let outcome = Scratch().rsock(arguments)
    #expect(outcome.errors == "rsock: \(sentence)\n")
    #expect(outcome.status == 64)
    #expect(outcome.output == "")
  }

  @Test(
    "A key in the environment is not shown", arguments: ["", "sesame", SettingsTests.key + " "])
  func environment(_ key: String) {
    let scratch = Scratch()
    let environment = scratch.environment(["RSOCK_KEY=\(key)"])
    let outcome = Running([program] + Self.server, environment: environment, in: scratch, "run")
      .end()
    #expect(outcome.errors == "rsock: RSOCK_KEY: \(Self.noKey)\n")
    #expect(outcome.status == 64)
  }
}
