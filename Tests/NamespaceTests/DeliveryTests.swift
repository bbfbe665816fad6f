// Datagrams come through: all of them, whole, each to the app that it is for, by every kind of tunnel; what
// mostly waits does several at once.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(2))) struct DeliveryTests {
    @Test(arguments: [1, 16])
    func randomDatagramsArrive(endpoints: Int) async throws {
      try await withEveryKind { kind, client, server in
        let tunnel = try Tunnel(from: client, to: server, kind.options)
        let apps = try (0..<endpoints).map { _ in
          try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
        }
        try converse(apps, tunnel.target, datagrams: 500, seed: UInt64(endpoints), kind)
        try tunnel.stop()
      }
    }

    @Test func threeClientsOnOneHostKeepApart() async throws {
      try await withEveryKind { kind, client, server in
        let options = kind.options
        let tunnel = try Tunnel(from: client, to: server, options)
        let entrances = [30001, 30002].map { Endpoint(Tunnel.entrance.address, $0) }
        let others = try entrances.map {
          try client.startRsock(Tunnel.clientArguments(to: server, options, entrance: $0))
        }
        let apps = try ([Tunnel.entrance] + entrances).map {
          try UDPSocket(in: client.namespace, remote: $0)
        }
        for app in apps { _ = try Tunnel.join(app, tunnel.target) }
        try converse(apps, tunnel.target, datagrams: 500, seed: 3, kind)
        for other in others { #expect(try other.terminate() == .exited(0), "\(other.errors)") }
        try tunnel.stop()
      }
    }

    @Test(arguments: [Offloads.on, .off], Protection.allCases)
    func twentyThousandASecondEachWay(offloads: Offloads, protection: Protection) async throws {
      try await expectTwentyThousandASecond(
        for: .seconds(10), Tunnel.Options(protection), offloads)
    }

    /// What this suite, IPv6Tests, UDPTests and ICMPTests do for some.
    @Test(arguments: TunnelKind.usually([]), [Offloads.on, .off])
    func twentyThousandASecondOfEveryKind(kind: TunnelKind, offloads: Offloads) async throws {
      try await expectTwentyThousandASecond(for: .seconds(10), kind.options, offloads)
    }

    @Test(arguments: Protection.allCases, AddressFamily.allCases)
    func theRawSocketCarriesEverything(
      protection: Protection, family: AddressFamily
    ) async throws {
      try await withTwoHosts(offloads: .off) { client, server in
        let capture = try Capture(in: server.namespace, Judges(protection))
        var options = Tunnel.Options(protection, family)
        options.common = ["--tx=raw"]
        let tunnel = try Tunnel(from: client, to: server, options)
        let load = Load(size: 1400, rate: 5000, duration: .seconds(2))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        let judges = try capture.finish()
        #expect(judges.capture.isClean, "\(judges.capture)")
        #expect(judges.window.invalid == 0, "\(judges.window)")
        try tunnel.stop()
      }
    }

    @Test func datagramsBeforeTheServerAreHeldInOrder() async throws {
      try await withEveryKind { kind, client, server in
        let options = kind.options
        let process = try client.startRsock(Tunnel.clientArguments(to: server, options))
        let app = try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
        try pause(.seconds(1))
        let target = try UDPSocket(in: server.namespace, local: Tunnel.exit)
        for number in 0..<20 { try app.send([UInt8(number)]) }
        let serving = try server.startRsock(Tunnel.serverArguments(options))
        for number in 0..<20 {
          let datagram = try target.receive(within: .seconds(3))
          #expect(datagram?.bytes == [UInt8(number)], "\(kind.testDescription)")
        }
        #expect(try process.terminate() == .exited(0))
        #expect(try serving.terminate() == .exited(0))
      }
    }
  }
}

/// Sends datagrams of random size and contents in random directions between the apps and the
/// target, with 0-9 ms between them, and expects each to arrive unchanged where it belongs.
private func converse(
  _ apps: [UDPSocket], _ target: UDPSocket, datagrams: Int, seed: UInt64, _ kind: TunnelKind
) throws {
  var random = SeededRandom(seed: seed)
  // The server's end can only answer, so each app speaks first.
  let flows = try apps.map { try Tunnel.join($0, target) }
  #expect(Set(flows).count == apps.count, "\(kind.testDescription): every app is a flow of its own")
  var sentUp = [Tally](repeating: Tally(), count: apps.count)
  var sentDown = sentUp
  for _ in 0..<datagrams {
    let index = Int.random(in: 0..<apps.count, using: &random)
    let size = Int.random(in: 0..<1400, using: &random)
    let bytes = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
    if Bool.random(using: &random) {
      sentUp[index].add(bytes)
      try apps[index].send(bytes)
    } else {
      sentDown[index].add(bytes)
      try target.send(bytes, to: flows[index])
    }
    try pause(.milliseconds(Int.random(in: 0..<10, using: &random)))
  }
  var receivedUp = [Endpoint: Tally]()
  while let datagram = try target.receive(within: .milliseconds(500)) {
    receivedUp[datagram.from, default: Tally()].add(datagram.bytes)
  }
  for (index, app) in apps.enumerated() {
    var received = Tally()
    while let datagram = try app.receive(within: .milliseconds(20)) { received.add(datagram.bytes) }
    let arrived = receivedUp[flows[index], default: Tally()]
    #expect(received == sentDown[index], "\(kind.testDescription): to app \(index)")
    #expect(arrived == sentUp[index], "\(kind.testDescription): from app \(index)")
  }
}

/// How often each content came.
private struct Tally: Equatable, CustomStringConvertible {
  private var counts: [[UInt8]: Int] = [:]

  mutating func add(_ bytes: [UInt8]) { counts[bytes, default: 0] += 1 }

  var description: String { "\(counts.values.reduce(0, +)) datagrams" }
}

/// Sends 20,000 datagrams of 1400 bytes a second each way: none is lost, and what a capture has is in order.
func expectTwentyThousandASecond(
  for duration: Duration, _ options: Tunnel.Options, _ offloads: Offloads
) async throws {
  try await withTwoHosts(offloads: offloads) { client, server in
    let capture = try Capture(in: server.namespace, Judges(options.protection))
    let tunnel = try Tunnel(from: client, to: server, options)
    let load = Load(size: 1400, rate: 20_000, duration: duration)
    let (up, down) = try tunnel.exchange(up: load, down: load)
    #expect(up.isComplete(load), "client to server: \(up)")
    #expect(down.isComplete(load), "server to client: \(down)")
    let judges = try capture.finish()
    #expect(judges.capture.isClean, "\(judges.capture)")
    // With both carriers it is UDP that may have the load.
    if options.type == "tcp" || judges.capture.dataSegments >= load.count {
      #expect(judges.capture.acknowledgesSparingly, "\(judges.capture)")
    }
    #expect(judges.window.invalid == 0, "\(judges.window)")
    try tunnel.stop()
  }
}
