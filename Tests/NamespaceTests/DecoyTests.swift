// Who probes a server with a decoy finds a web server; clients do not notice.

import Glibc
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(2))) struct DecoyTests {
    /// The web server itself is on IPv4 in each case.
    @Test(arguments: AddressFamily.allCases)
    func curlFindsTheWebServer(family: AddressFamily) async throws {
      try await withTwoHosts { client, server in
        let site = try WebServer(on: server)
        var options = decoyed()
        options.family = family
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 1000, rate: 1000, duration: .seconds(4))
        try tunnel.whileExchanging(load) {
          try site.expectAll(for: client, at: server.address(family))
        }
        #expect(try tunnel.server.userID() == Installation.user)
        try tunnel.stop()
      }
    }

    @Test func alsoThroughAStrictRouter() async throws {
      try await withRoutedHosts { client, router, server in
        let site = try WebServer(on: server)
        let tunnel = try Tunnel(from: client, to: server, decoyed())
        let load = Load(size: 1000, rate: 1000, duration: .seconds(4))
        try tunnel.whileExchanging(load) { try site.expectAll(for: client, at: server.address) }
        try tunnel.stop()
        #expect(try router.invalidPackets() == 0)
        #expect(try router.resets() == 0)
      }
    }

    /// Every twentieth packet of the probe is lost on the way, in each direction; a handshake's may be
    /// among them.
    @Test func alsoWhereSegmentsAreLost() async throws {
      try await withRoutedHosts { client, router, server in
        let rules = ["sport", "dport"].map {
          "add rule inet loss f tcp \($0) 443 numgen random mod 20 0 counter drop"
        }
        let chain = "add chain inet loss f { type filter hook forward priority 0; }"
        for command in ["add table inet loss", chain] + rules {
          try router.namespace.run("nft", command)
        }
        let site = try WebServer(on: server)
        let tunnel = try Tunnel(from: client, to: server, decoyed(ports: "443,10001-10003"))
        try site.expectAll(for: client, at: server.address)
        try tunnel.stop()
        let counted = try router.namespace.run("nft", "list", "table", "inet", "loss")
        #expect(!counted.contains("packets 0 "), "\(counted)")
      }
    }

    @Test func openSSLFindsATLSServer() async throws {
      try await withTwoHosts { client, server in
        let directory = try Installation.directory.get()
        let (key, certificate) = ("\(directory)/tls.key", "\(directory)/tls.crt")
        try server.run(
          "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=example.org",
          "-keyout", key, "-out", certificate)
        let site = try server.start(
          "openssl", "s_server", "-accept", "127.0.0.1:8080", "-key", key, "-cert", certificate,
          "-www")
        try server.waitForListener(8080)
        let program = try server.startRsock(Tunnel.serverArguments(decoyed()))
        try program.waitForText("server ready")
        let page = try client.run("curl", "-sk", "-m", "10", "https://\(server.address)/")
        #expect(page.contains("Ciphers supported in s_server binary"))
        #expect(site.isRunning && program.isRunning)
      }
    }

    /// The request comes in pieces; its first segment is lost and comes again; the four-tuple is that of
    /// a connection which the web server has just closed.
    @Test func requestsOfAllShapesAreAnswered() async throws {
      try await withTwoHosts { client, server in
        let site = try WebServer(on: server)
        let tunnel = try Tunnel(from: client, to: server, decoyed())
        let connect = """
          import socket, time
          def connect():
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(('', 5555))
            s.settimeout(10)
            s.connect(('\(server.address)', 443))
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return s
          def answer(s):
            text = b''
            while part := s.recv(65536): text += part
            s.close()
            return text.endswith(b'a page')
          request = b'GET /page HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n'

          """
        let pieces = """
          s = connect()
          for byte in request:
            s.sendall(bytes([byte]))
            time.sleep(0.001)
          print(answer(s))
          """
        #expect(try client.run("python3", "-c", connect + pieces) == "True\n")
        let whole = """
          for _ in range(3):
            s = connect()
            s.sendall(request)
            print(answer(s))
          """
        #expect(try client.run("python3", "-c", connect + whole) == "True\nTrue\nTrue\n")
        try client.run("nft", "add table inet loss")
        try client.run("nft", "add chain inet loss o { type filter hook output priority 0; }")
        try client.run(
          "nft", "add rule inet loss o tcp dport 443 tcp flags psh numgen inc mod 1000 0 drop")
        #expect(try client.run("python3", "-c", connect + whole) == "True\nTrue\nTrue\n")
        #expect(site.process.isRunning)
        try tunnel.stop()
      }
    }

    /// Many, greedy, idle, and talking nonsense.
    @Test func hostileStrangersCostLittle() async throws {
      try await withTwoHosts { client, server in
        let site = try WebServer(on: server)
        let tunnel = try Tunnel(from: client, to: server, decoyed())
        try site.expectPage(for: client, at: server)
        let before = try tunnel.server.residentBytes()
        let storm = """
          import os, socket, time
          all = []
          for number in range(1000):
            s = socket.socket()
            s.settimeout(0.2)
            try:
              s.connect(('\(server.address)', 443))
              s.sendall([b'GET /file HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n', os.urandom(3000)][number % 2])
            except OSError: pass
            all.append(s)
          time.sleep(1)
          """
        let load = Load(size: 1000, rate: 1000, duration: .seconds(8))
        let time = try tunnel.server.processorTime()
        try tunnel.whileExchanging(load) { try client.run("python3", "-c", storm) }
        let growth = try tunnel.server.residentBytes() - before
        #expect(growth < 2 << 20 || Installation.isSanitized, "grew by \(growth) bytes")
        let spent = try tunnel.server.processorTime() - time
        #expect(spent < .seconds(4), "\(spent)")
        try site.expectPage(for: client, at: server)
        try tunnel.stop()
      }
    }

    /// The web server has ended the connection, the other side does not.
    @Test func strangersThatDoNotEndAreForgotten() async throws {
      try await withTwoHosts { client, server in
        let site = try WebServer(on: server)
        let program = try server.startRsock(Tunnel.serverArguments(decoyed()))
        try program.waitForText("server ready")
        let stayer = """
          import socket, time
          s = socket.create_connection(('\(server.address)', 443))
          s.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n')
          while s.recv(65536): pass
          time.sleep(60)
          """
        let stranger = try client.start("python3", "-c", stayer)
        try wait(for: "a stranger") { try server.splicedCount(program) > 0 }
        try wait(for: "its end", atMost: .seconds(20)) { try server.splicedCount(program) == 0 }
        #expect(stranger.isRunning)
        try site.expectPage(for: client, at: server)
        #expect(try program.terminate() == .exited(0), "\(program.errors)")
      }
    }

    @Test func nothingIsLeftOfOneThatIsKilled() async throws {
      try await withTwoHosts { client, server in
        let site = try WebServer(on: server)
        let arguments = try Tunnel.serverArguments(decoyed())
        let program = try server.startRsock(arguments)
        try program.waitForText("server ready")
        let file = "http://\(server.address):443/file"
        let download = try client.start(
          "curl", "-s", "--limit-rate", "100k", "-o", "/dev/null", file)
        try wait(for: "a stranger") { try server.splicedCount(program) > 0 }
        program.killNow()
        // It is reset, though curl has not read all yet that came before.
        try wait(for: "the end of the connection") {
          try client.run("ss", "-Htan", "dport = 443") == ""
        }
        download.killNow()
        #expect(try server.run("nft", "list", "ruleset") == "")
        #expect(try server.run("ss", "-Htan", "sport = 443") == "")
        let successor = try server.startRsock(arguments)
        try successor.waitForText("server ready")
        try site.expectPage(for: client, at: server)
        #expect(try successor.terminate() == .exited(0), "\(successor.errors)")
      }
    }

    @Test func itNeedsNoFirewallRules() async throws {
      try await withTwoHosts { client, server in
        let site = try WebServer(on: server)
        var options = decoyed()
        options.server.append("--firewall=off")
        let tunnel = try Tunnel(from: client, to: server, options)
        try site.expectPage(for: client, at: server)
        #expect(try server.run("nft", "list", "ruleset") == "")
        try tunnel.stop()
      }
    }

    @Test func withoutTheCapabilityItSaysSo() async throws {
      try await withTwoHosts { _, server in
        let (status, _, errors) = try server.runRsock(
          Tunnel.serverArguments(decoyed()), grant: .rawOnly)
        #expect(status == .exited(77), "\(errors)")
        #expect(errors.isOneSentence && errors.contains("--decoy"), "\(errors)")
        #expect(errors.contains("cap_net_admin"), "\(errors)")
      }
    }

    @Test func aServiceThatIsDownIsToldOnce() async throws {
      try await withTwoHosts { client, server in
        let tunnel = try Tunnel(from: client, to: server, decoyed())
        for _ in 0..<3 {
          let probe = try client.start("curl", "-s", "-m", "5", "http://\(server.address):443/")
          // CURLE_RECV_ERROR: it was reset.
          #expect(try probe.wait(atMost: .seconds(10)) == .exited(56))
        }
        let lines = tunnel.server.errors.split(separator: "\n").filter { $0.contains("--decoy") }
        #expect(lines.count == 1 && lines[0].contains("127.0.0.1:8080"), "\(tunnel.server.errors)")
        try tunnel.stop()
      }
    }
  }
}

/// The options of a tunnel with a key and a decoy.
private func decoyed(ports: String = "443") -> Tunnel.Options {
  var options = Tunnel.Options(.sealed, ports: ports)
  options.server = ["--decoy=127.0.0.1:8080"]
  return options
}

/// A small web server at port 8080 of a host's loopback.
private struct WebServer {
  let process: ChildProcess
  private let directory: String

  /// HTTP/1.1: `/file` has 5 MB, all other paths a page; POST answers with the body's SHA-256.
  private static let program = """
    import hashlib, http.server, sys
    file = open(sys.argv[1], 'rb').read()
    class Handler(http.server.BaseHTTPRequestHandler):
      protocol_version = 'HTTP/1.1'
      def do_GET(self): self.say(file if self.path == '/file' else b'a page')
      def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.say(hashlib.sha256(body).hexdigest().encode())
      def say(self, body):
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
      def log_message(self, *arguments): pass
    class Server(http.server.ThreadingHTTPServer):
      request_queue_size = 512
      def handle_error(self, *arguments): pass
    Server(('127.0.0.1', 8080), Handler).serve_forever()
    """

  init(on host: Host) throws {
    directory = try run("mktemp", "-d", "\(Installation.directory.get())/web-XXXXXX")
      .split(separator: "\n").joined()
    try run("sh", "-c", "head -c 5000000 /dev/urandom >\(directory)/file")
    try run("sh", "-c", "head -c 2000000 /dev/urandom >\(directory)/upload")
    process = try host.start("python3", "-c", Self.program, "\(directory)/file")
    try host.waitForListener(8080)
  }

  func expectPage(for client: Host, at server: Host) throws {
    #expect(try curl(client, "http://\(server.address):443/") == "a page")
  }

  /// A large file, two requests on one connection, and an upload.
  func expectAll(for client: Host, at address: IPAddress) throws {
    let site = "http://\(Endpoint(address, 443))"
    _ = try curl(client, "-o", "\(directory)/copy", "\(site)/file")
    try run("cmp", "\(directory)/file", "\(directory)/copy")
    let connects = try curl(client, "-w", " %{num_connects} ", "\(site)/1", "\(site)/2")
    #expect(connects == "a page 1 a page 0 ")
    let digest = try curl(
      client, "-H", "Expect:", "--data-binary", "@\(directory)/upload", "\(site)/")
    #expect(try run("sha256sum", "\(directory)/upload").hasPrefix(digest) && digest.count == 64)
  }

  private func curl(_ client: Host, _ arguments: String...) throws -> String {
    let process = try ChildProcess(
      client.namespace.commandLine(["curl", "-sS", "-m", "60"] + arguments))
    #expect(process.wait() == .exited(0), "\(process.errors)")
    return process.output
  }
}

extension Host {
  fileprivate func waitForListener(_ port: Int) throws {
    try wait(for: "a listener") { try run("ss", "-Hlnt", "sport = \(port)") != "" }
  }

  /// How many connections the program has left to the kernel.
  fileprivate func splicedCount(_ program: ChildProcess) throws -> Int {
    try run("nft", "list", "set", "inet", "rsock-\(program.pid)", "spliced")
      .split(separator: "\n").count { $0.contains(" . ") && !$0.contains("type") }
  }
}

extension Tunnel {
  /// Sends a load each way while `body` runs; nothing of it may be lost.
  fileprivate func whileExchanging(_ load: Load, _ body: () throws -> Void) throws {
    try target.connect(to: flow)
    let up = try Stream(load, from: app, to: target)
    let down = try Stream(load, from: target, to: app)
    try body()
    let (upward, downward) = (try up.finish(), try down.finish())
    #expect(upward.isComplete(load) && downward.isComplete(load), "\(upward) \(downward)")
  }
}
