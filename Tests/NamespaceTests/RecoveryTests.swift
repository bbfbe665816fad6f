// The client comes back by itself, without a key and with one: a server that was restarted knows its
// clients by their keys alone. All of this mostly waits, so both are done at once.

import Glibc
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct RecoveryTests {
    @Test func returnsWithinTwoSecondsOfTheServersRestart() async throws {
      try await withEveryKind { kind in
        try await restartServer(after: .seconds(1), kind.options)
        try await restartServer(after: .seconds(10), kind.options)
      }
    }

    @Test func startsBeforeThereIsANetwork() async throws {
      try await withEveryKind { kind, client, server in
        let options = kind.options
        try client.setLink(up: false)
        let target = try UDPSocket(in: server.namespace, local: Tunnel.exit)
        let serving = try server.startRsock(Tunnel.serverArguments(options))
        let program = try client.startRsock(Tunnel.clientArguments(to: server, options))
        try pause(.seconds(1))
        #expect(program.isRunning, "\(program.errors)")
        let app = try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
        try client.setLink(up: true)
        _ = try Tunnel.join(app, target, within: .seconds(2))
        #expect(try program.terminate() == .exited(0), "\(program.errors)")
        #expect(try serving.terminate() == .exited(0), "\(serving.errors)")
      }
    }

    /// A supervisor starts it again, with the capabilities that new sockets take.
    @Test func endsWhereAnotherDeviceHasTheNameOfItsOwn() async throws {
      try await withTwoHosts { client, _ in
        try client.run("ip", "link", "add", "w0", "type", "veth", "peer", "name", "w1")
        try client.run("ip", "address", "add", "10.78.0.1/24", "dev", "w0")
        let program = try client.startRsock(Tunnel.serverArguments() + ["--dev=w0"])
        try program.waitForText("server ready")
        try client.run("ip", "link", "delete", "w0")
        try pause(.milliseconds(200))
        #expect(program.isRunning, "\(program.errors)")
        try client.run("ip", "link", "add", "w0", "type", "veth", "peer", "name", "w1")
        #expect(try program.wait(atMost: .seconds(2)) == .exited(1))
        #expect(program.errors.contains("--dev: stay on w0: "), "\(program.errors)")
      }
    }

    @Test func returnsWithinASecondOfTheLink() async throws {
      try await withEveryKind { kind in
        try await breakLink(atClient: kind.protection == .plain, kind.options)
      }
    }

    /// The client wakes to a datagram and to a link that does not take one of its size any more, in
    /// this order: what it knows of the link is old when it sends.
    @Test func rawPacketsTakeOverWhereTheLinkRefuses() async throws {
      try await withoutAndWithKey { protection, client, server in
        let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(protection))
        try pause(.milliseconds(500))
        tunnel.client.signal(SIGSTOP)
        try tunnel.app.send([UInt8](repeating: 1, count: 1400))
        try client.run("ip", "link", "set", Host.interface, "mtu", "1300")
        tunnel.client.signal(SIGCONT)
        try tunnel.client.waitForText("send by AF_PACKET: Message too long")
        let load = Load(size: 1000, rate: 1000, count: 1000)
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(protection): \(up) \(down)")
        try tunnel.stop()
      }
    }
  }
}

func restartServer(after downTime: Duration, _ options: Tunnel.Options) async throws {
  try await withTwoHosts { client, server in
    let tunnel = try Tunnel(from: client, to: server, options)
    let chatter = Chatter(tunnel)
    try pause(.milliseconds(500))
    tunnel.server.killNow()
    try pause(downTime)
    let restart = now()
    let successor = try server.startRsock(Tunnel.serverArguments(options))
    let delay = try chatter.timeToReturn(after: restart)
    #expect(
      delay < .seconds(2),
      "\(options.type) \(options.protection): down for \(downTime), back after \(delay)")
    try chatter.stop()
    #expect(try tunnel.client.terminate() == .exited(0), "\(tunnel.client.errors)")
    #expect(try successor.terminate() == .exited(0), "\(successor.errors)")
  }
}

func breakLink(atClient: Bool, _ options: Tunnel.Options) async throws {
  try await withTwoHosts { client, server in
    let tunnel = try Tunnel(from: client, to: server, options)
    let chatter = Chatter(tunnel)
    try pause(.milliseconds(500))
    let host = atClient ? client : server
    try host.setLink(up: false)
    try pause(.seconds(10))
    try host.setLink(up: true)
    let delay = try chatter.timeToReturn(after: now())
    let place = atClient ? "client" : "server"
    // UDP goes by the kernel. Its first ARP request is lost where the other end's queue starts later
    // (`linkwatch_do_dev`), and the second one follows after a second (`retrans_time_ms`, arp(7)).
    let limit = Duration.milliseconds(options.type == "tcp" ? 1_000 : 1_500)
    #expect(
      delay < limit,
      "\(options.type) \(options.protection): cut at the \(place), back after \(delay)")
    try chatter.stop()
    try tunnel.stop()
  }
}

/// An app that asks every 10 ms and one that answers, each on a thread of its own.
final class Chatter: Sendable {
  private let isOver = Signal()
  private let latestAnswer = Shared(Instant(nanoseconds: 0))
  private let threads: [Background<Void>]

  init(_ tunnel: Tunnel) {
    let (isOver, latestAnswer) = (isOver, latestAnswer)
    let (app, target) = (tunnel.app, tunnel.target)
    threads = [
      Background {
        while !isOver.isRaised {
          try? app.send([1])
          if (try? app.receive(within: .milliseconds(10))) != nil {
            latestAnswer.update { $0 = now() }
          }
        }
      },
      Background {
        while !isOver.isRaised {
          if let question = try? target.receive(within: .milliseconds(100)) {
            try? target.send(question.bytes, to: question.from)
          }
        }
      },
    ]
  }

  /// How long after `moment` the first answer came. What was in flight then has come by
  /// `moment` + 0, so a later answer is one that the tunnel carried both ways anew.
  func timeToReturn(after moment: Instant) throws -> Duration {
    try wait(for: "an answer", atMost: .seconds(20)) { latestAnswer.current > moment }
    return latestAnswer.current - moment
  }

  func stop() throws {
    isOver.raise()
    for thread in threads { thread.join() }
  }
}

/// The router of a tunnel that logs all it does (`-v`) gets another address: the channels go on behind it,
/// and no new one is opened.
func expectGoingOn(_ tunnel: Tunnel, behindAnotherAddressOf router: Router) throws {
  let chatter = Chatter(tunnel)
  try pause(.milliseconds(500))
  let dials = tunnel.client.errors.count(of: "dialled")
  try router.namespace.run(
    "ip", "address", "delete", "10.77.2.1/24", "dev", Router.outside)
  try router.namespace.run("ip", "address", "add", "10.77.2.9/24", "dev", Router.outside)
  let delay = try chatter.timeToReturn(after: now())
  #expect(delay < .seconds(1), "back after \(delay)")
  try pause(.seconds(2))
  try chatter.stop()
  #expect(tunnel.server.errors.contains("10.77.2.9"), "\(tunnel.server.errors)")
  #expect(tunnel.client.errors.count(of: "dialled") == dials, "\(tunnel.client.errors)")
}
