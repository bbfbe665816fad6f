// The kernel's TCP goes on with connections that it has not made: here both ends of one are such.

import CCap
import Glibc
import Kernel
import Testing
import Wire

@Suite struct RepairedConnectionTests {
  private static let port: UInt16 = 443

  /// The two ends of a connection from a port of A to our port of B.
  private static func states(
    _ hosts: TwoHosts, _ change: (inout ConnectionState) -> Void = { _ in }
  ) -> (a: ConnectionState, b: ConnectionState) {
    let ends = (Endpoint(hosts.a.address, 40_000), Endpoint(hosts.b.address, port))
    // B's numbers are about to wrap.
    var a = ConnectionState(
      tuple: FourTuple(local: ends.0, remote: ends.1), sendNext: 1000, receiveNext: .max - 5000,
      sendWindow: 64_240, receiveWindow: 64_240)
    a.sendScale = 7
    a.receiveScale = 7
    a.maximumSegmentSize = 1460
    a.permitsSelectiveAcknowledgment = true
    change(&a)
    var b = a
    b.tuple = FourTuple(local: ends.1, remote: ends.0)
    (b.sendNext, b.receiveNext) = (a.receiveNext, a.sendNext)
    return (a, b)
  }

  private static func connect(_ hosts: TwoHosts) throws -> Pair {
    let states = states(hosts)
    return Pair(
      a: try hosts.a.inside { try StreamSocket(resuming: states.a) },
      b: try hosts.b.inside { try StreamSocket(resuming: states.b) })
  }

  /// Every twentieth segment to B is lost. B's port is held by a guard of either kind all the time.
  @Test(arguments: [true, false], AddressFamily.allCases)
  func carriesBothWaysAndEnds(isAdmin: Bool, family: AddressFamily) throws {
    try withTwoHosts(offloads: false, family: family) { hosts in
      try hosts.b.run("nft", "add table inet t")
      try hosts.b.run("nft", "add chain inet t i { type filter hook input priority 0; }")
      try hosts.b.run("nft", "add rule inet t i numgen random mod 20 0 drop")
      let guarded = try hosts.b.inside {
        try setEffective(CAP_NET_ADMIN, isAdmin)
        defer { try! setEffective(CAP_NET_ADMIN, true) }
        return try GuardSocket(at: Endpoint(.any(family), Self.port))
      }
      let pair = try Self.connect(hosts)
      let (up, down) = (Self.bytes(300_000, seed: 3), Self.bytes(200_000, seed: 5))
      let received = try pair.exchange(up: up, down: down)
      #expect(received.up == up && received.down == down)
      #expect(pair.a.isClosed == false && pair.b.isClosed == false)
      try pair.a.finish()
      #expect(eventually { pair.b.read() == [] })
      #expect(pair.b.isClosed == false)
      try pair.b.finish()
      #expect(eventually { pair.a.read() == [] })
      #expect(eventually { pair.a.isClosed && pair.b.isClosed })
      #expect(pair.a.unacknowledged == 0)
      _ = consume guarded
    }
  }

  private static func bytes(_ count: Int, seed: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* seed &+ $0 >> 8) }
  }

  @Test func knowsWhatItWasTold() throws {
    try withTwoHosts(offloads: false) { hosts in
      var state = Self.states(hosts).b
      state.sendScale = 10
      state.maximumSegmentSize = 1300
      state.received = Array("GET /".utf8)
      var watcher = try hosts.a.inside { try PacketSocket(filter: .everything) }
      let socket = try hosts.b.inside { try StreamSocket(resuming: state) }
      #expect(socket.read() == state.received)
      #expect(socket.read() == nil)
      let text = try shell("ip netns exec \(hosts.b.namespace) ss -Htin")
      #expect(text.contains("wscale:10,7"), "\(text)")
      // TCPI_OPT_SACK and TCPI_OPT_WSCALE, not TCPI_OPT_TIMESTAMPS.
      #expect(socket.options == 2 | 4)
      #expect(socket.write([UInt8](repeating: 1, count: 3000)) == 3000)
      let sizes = try watcher.collect(3).map { $0.bytes.count - 40 }
      #expect(sizes == [1300, 1300, 400])
    }
  }

  @Test func sendsNothingByItself() throws {
    try withTwoHosts(offloads: true) { hosts in
      var watcher = try hosts.a.inside { try PacketSocket(filter: .everything) }
      let socket = try hosts.b.inside { try StreamSocket(resuming: Self.states(hosts).b) }
      #expect(try watcher.collect().isEmpty)
      #expect(socket.write([1]) == 1)
      #expect(try watcher.collect(1).count == 1)
    }
  }

  @Test func aFourTupleIsTakenOnce() throws {
    try withTwoHosts(offloads: true) { hosts in
      let state = Self.states(hosts).b
      let first = try hosts.b.inside { try StreamSocket(resuming: state) }
      try hosts.b.inside {
        #expect(code { _ = try StreamSocket(resuming: state) } == EADDRNOTAVAIL)
      }
      #expect(first.isClosed == false)
    }
  }

  /// As of a program that is killed: the peer is told, and nothing stays.
  @Test func isResetWhereItIsClosedBeforeItsEnd() throws {
    try withTwoHosts(offloads: true) { hosts in
      let a = try hosts.a.inside { try StreamSocket(resuming: Self.states(hosts).a) }
      let b = try hosts.b.inside { try StreamSocket(resuming: Self.states(hosts).b) }
      _ = consume b
      #expect(eventually { a.isClosed })
      #expect(try shell("ip netns exec \(hosts.b.namespace) ss -Htan") == "")
    }
  }

  @Test func itsPortMayBeGuardedAnew() throws {
    try withTwoHosts(offloads: true) { hosts in
      let socket = try hosts.b.inside { try StreamSocket(resuming: Self.states(hosts).b) }
      let guarded = try hosts.b.inside { try GuardSocket(at: Endpoint(.any, Self.port)) }
      #expect(guarded.endpoint.port == Self.port && socket.isClosed == false)
    }
  }

  /// What the ruleset drops, it drops until the connection is added.
  @Test func theRulesetLetsItThrough() throws {
    try withTwoHosts(offloads: true) { hosts in
      let states = Self.states(hosts)
      var ruleset = try hosts.b.inside {
        try Ruleset(role: .server(ports: PortSet([Self.port...Self.port]), hasDecoy: true))
      }
      let pair = try Self.connect(hosts)
      try ruleset.add(spliced: states.b.tuple)
      #expect(pair.a.write([1, 2, 3]) == 3)
      #expect(eventually { pair.b.read() == [1, 2, 3] })
      #expect(pair.b.write([4]) == 1)
      #expect(eventually { pair.a.read() == [4] })
      #expect(eventually { pair.b.unacknowledged == 0 })
      try ruleset.remove(spliced: [states.b.tuple])
      #expect(pair.a.write([5]) == 1)
      usleep(50_000)
      #expect(pair.b.read() == nil)
      try ruleset.add(spliced: states.b.tuple)
      #expect(eventually { pair.b.read() == [5] })
      let tracked = try shell("ip netns exec \(hosts.b.namespace) conntrack -L 2>/dev/null")
      #expect(tracked == "")
      _ = consume ruleset
    }
  }

  @Test func withoutTheCapabilityTheErrorSaysSo() async {
    await #expect(processExitsWith: .exitCode(7)) {
      guard setuid(65_534) == 0 else { exit(1) }
      do throws(SystemError) { try StreamSocket.checkRepair() } catch {
        let says = error.remedy ?? ""
        exit(error.code == EPERM && says.contains("cap_net_admin") ? 7 : 2)
      }
    }
  }

  @Test func withTheCapabilityThereIsNoError() throws { try StreamSocket.checkRepair() }
}

@Suite struct StreamSocketTests {
  /// a ─► b = c ─► d, as of a proxy that moves from b to c.
  @Test func movesWhatTheOtherTakes() throws {
    try withTwoHosts(offloads: true) { hosts in
      try hosts.a.inside {
        let left = try Self.pair(port: 1)
        let right = try Self.pair(port: 2)
        let buffer = StreamBuffer()
        #expect(try left.b.move(to: right.a, through: buffer) == .blocked)
        #expect(left.a.write([1, 2, 3]) == 3)
        #expect(try left.b.move(to: right.a, through: buffer) == .moved(3))
        #expect(right.b.read() == [1, 2, 3])

        // Nobody reads at the end, so all queues fill up; nothing is lost then.
        let chunk = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        var (written, moved) = (0, 0)
        while true {
          let count = left.a.write(Array(chunk[(written % chunk.count)...]))
          let movement = try left.b.move(to: right.a, through: buffer)
          if count > 0 { written += count }
          if case .moved(let count) = movement { moved += count }
          if count <= 0, movement == .blocked { break }
        }
        #expect(moved > 50_000 && written > moved + 50_000)
        try left.a.finish()
        var received: [UInt8] = []
        while true {
          let movement = try left.b.move(to: right.a, through: buffer)
          received += right.b.read() ?? []
          if movement == .ended { break }
        }
        try right.a.finish()
        #expect(
          eventually {
            let bytes = right.b.read()
            received += bytes ?? []
            return bytes == []
          })
        #expect(received == (0..<written).map { chunk[$0 % chunk.count] })
      }
    }
  }

  @Test func refusalsAndResetsAreErrors() throws {
    try withTwoHosts(offloads: true) { hosts in
      try hosts.a.inside {
        let buffer = StreamBuffer()
        let other = try Self.pair(port: 1)
        let refused = try StreamSocket(connectingTo: Endpoint("127.0.0.1:9")!)
        #expect(
          eventually { code { _ = try refused.move(to: other.a, through: buffer) } == ECONNREFUSED }
        )
        let pair = try Self.pair(port: 2)
        let a = pair.a
        _ = consume pair.b
        #expect(eventually { code { _ = try a.move(to: other.a, through: buffer) } == ECONNRESET })
        #expect(other.b.write([1]) == 1)
        #expect(eventually { code { _ = try other.a.move(to: a, through: buffer) } == EPIPE })
      }
    }
  }

  /// Both ends of a connection on the loopback.
  private static func pair(port: UInt16) throws -> Pair {
    let address = IPAddress("127.0.0.1")!
    var state = ConnectionState(
      tuple: FourTuple(local: Endpoint(address, port), remote: Endpoint(address, port + 1000)),
      sendNext: 1, receiveNext: 1, sendWindow: 60_000, receiveWindow: 60_000)
    let a = try StreamSocket(resuming: state)
    state.tuple = FourTuple(local: state.tuple.remote, remote: state.tuple.local)
    return Pair(a: a, b: try StreamSocket(resuming: state))
  }
}

/// Both ends of a connection.
private struct Pair: ~Copyable {
  let a: StreamSocket
  let b: StreamSocket

  /// Sends bytes from each end to the other until all have arrived.
  func exchange(up: [UInt8], down: [UInt8]) throws -> (up: [UInt8], down: [UInt8]) {
    var (rest, received) = ((up: up[...], down: down[...]), (up: [UInt8](), down: [UInt8]()))
    for _ in 0..<20_000 {
      rest.up = rest.up.dropFirst(max(0, a.write(Array(rest.up.prefix(20_000)))))
      rest.down = rest.down.dropFirst(max(0, b.write(Array(rest.down.prefix(20_000)))))
      received.up += b.read() ?? []
      received.down += a.read() ?? []
      if received.up.count >= up.count, received.down.count >= down.count { break }
      usleep(1000)
    }
    return received
  }
}

extension StreamSocket {
  /// What is there to read; empty at the end of the stream, nil where there is nothing yet.
  fileprivate func read() -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = unsafe recv(descriptor.rawValue, &bytes, bytes.count, Int32(MSG_DONTWAIT))
    return count < 0 ? nil : Array(bytes[..<count])
  }

  /// `tcpi_options` of TCP_INFO (tcp(7)).
  fileprivate var options: UInt8 {
    var info = [UInt8](repeating: 0, count: 8)
    var length = socklen_t(info.count)
    _ = unsafe getsockopt(descriptor.rawValue, Int32(IPPROTO_TCP), TCP_INFO, &info, &length)
    return info[5]
  }

  /// How many of the bytes were taken.
  fileprivate func write(_ bytes: [UInt8]) -> Int {
    unsafe send(
      descriptor.rawValue, bytes, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
  }
}

/// The code of the error that `body` throws; 0 where it throws none.
private func code(_ body: () throws -> Void) -> Int32 {
  do {
    try body()
    return 0
  } catch { return (error as? SystemError)?.code ?? -1 }
}
