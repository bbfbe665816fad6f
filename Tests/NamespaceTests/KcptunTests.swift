// Debian's kcptun over the tunnel, without a key and with one: the use that the program is made for.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(3))) struct KcptunTests {
    @Test(arguments: TunnelKind.usually(TunnelKind.some + [.tcpAndUDP]))
    func aHundredMegabytesEachWay(kind: TunnelKind) async throws {
      try await withTwoHosts { try expectAHundredMegabytes(from: $0, to: $1, kind.options) }
    }

    /// kcptun's packets have 1350 bytes: 1418 and more with the headers.
    @Test(arguments: TunnelKind.some)
    func aHundredMegabytesWhereLargePacketsAreDropped(kind: TunnelKind) async throws {
      try await withRoutedHosts(offloads: .off, outerOffloads: .off) { client, router, server in
        try router.drop(packetsOver: 1400)
        try expectAHundredMegabytes(from: client, to: server, kind.options)
        #expect(try router.invalidPackets() == 0)
      }
    }
  }
}

private func expectAHundredMegabytes(
  from client: Host, to server: Host, _ options: Tunnel.Options
) throws {
  let programs = [
    try server.startRsock(Tunnel.serverArguments(options)),
    try client.startRsock(Tunnel.clientArguments(to: server, options)),
  ]
  let far = try server.start(
    "kcptun-server", "-t", "127.0.0.1:8000", "-l", "127.0.0.1:9999", "--mode", "fast2",
    "--nocomp")
  let near = try client.start(
    "kcptun-client", "-r", "\(Tunnel.entrance)", "-l", "127.0.0.1:12948", "--mode", "fast2",
    "--nocomp", "--sndwnd", "1024", "--rcvwnd", "1024")
  let files = try Files()
  let before = try [client, server].map { try $0.udpReceiveBufferErrors() }
  try files.move(
    from: client, "TCP:127.0.0.1:12948", to: server, "TCP-LISTEN:8000,reuseaddr",
    listener: server, port: 8000)
  try files.move(
    from: server, "TCP-LISTEN:8000,reuseaddr", to: client, "TCP:127.0.0.1:12948",
    listener: server, port: 8000)
  let after = try [client, server].map { try $0.udpReceiveBufferErrors() }
  #expect(after == before, "UdpRcvbufErrors of the client and the server host")
  #expect(far.isRunning && near.isRunning)
  for program in programs {
    #expect(try program.terminate() == .exited(0), "\(program.errors)")
  }
}

/// A random file of 100 MB, and where it is to arrive.
private struct Files {
  let original: String
  let copy: String

  init() throws {
    let directory = try Installation.directory.get()
    (original, copy) = ("\(directory)/original", "\(directory)/copy")
    try run("dd", "if=/dev/urandom", "of=\(original)", "bs=1M", "count=100", "status=none")
  }

  func move(
    from source: Host, _ entrance: String, to destination: Host, _ exit: String, listener: Host,
    port: Int
  ) throws {
    _ = try? run("rm", copy)
    let sender = ["socat", "-u", "OPEN:\(original)", entrance]
    let receiver = ["socat", "-u", exit, "OPEN:\(copy),creat,trunc"]
    let isSenderListening = entrance.hasPrefix("TCP-LISTEN")
    let first = try ChildProcess(
      isSenderListening
        ? source.namespace.commandLine(sender) : destination.namespace.commandLine(receiver))
    try wait(for: "the listener") { try listener.run("ss", "-lnt").contains(":\(port) ") }
    let second = try ChildProcess(
      isSenderListening
        ? destination.namespace.commandLine(receiver) : source.namespace.commandLine(sender))
    for process in [first, second] {
      let status = try process.wait(atMost: .seconds(60))
      #expect(status == .exited(0), "\(process.errors)")
    }
    try run("cmp", original, copy)
  }
}
