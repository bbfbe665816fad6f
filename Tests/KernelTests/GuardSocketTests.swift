// A guarded port answers nothing, and nobody else gets it.

import CCap
import Glibc
import Kernel
import Testing
import Wire

@Suite struct GuardSocketTests {
  /// A segment of every kind that a kernel would answer.
  private static let probes: [TCPFlags] = [
    [.syn], [.ack], [.fin], [], [.syn, .ack], [.psh, .ack], [.fin, .ack], [.fin, .psh], [.rst],
    [.rst, .ack],
  ]

  /// How many answers the probes to a port of A get at B, 5 of them with payload.
  private static func answers(_ hosts: TwoHosts, port: UInt16) throws -> Int {
    var watcher = try hosts.b.inside { try PacketSocket(filter: .port(40_000)) }
    var raw = try hosts.b.inside { try RawSocket() }
    let payloads = samplePayloads()
    let batch = sampleBatch(
      (probes.map { ($0, []) } + probes.map { ($0, [5]) }).map { flags, sizes in
        SampleRun(
          channel: nil, payloads: sizes, flags: flags, local: Endpoint(hosts.b.address, 40_000),
          remote: Endpoint(hosts.a.address, port))
      })
    let result = raw.send(batch, payloads: payloads, hops: [])
    try #require(result.segments == batch.count)
    return try watcher.collect().count
  }

  @Test(
    "A guarded port answers no segment of any kind; an unguarded one does",
    arguments: [0, 2], [true, false])
  func silence(synCookies: Int, isAdmin: Bool) throws {
    try withTwoHosts(offloads: true) { hosts in
      // B's own kernel must not take part: it would reset what it does not know.
      try hosts.b.run("nft", "add table inet t")
      try hosts.b.run(
        "nft", "add chain inet t i { type filter hook input priority 0; policy drop; }")
      try hosts.a.run("sysctl", "-q", "net.ipv4.tcp_syncookies=\(synCookies)")
      let guarded = try hosts.a.inside {
        try setEffective(CAP_NET_ADMIN, isAdmin)
        defer { try! setEffective(CAP_NET_ADMIN, true) }
        return try GuardSocket(at: Endpoint(.any, 443))
      }
      #expect(try Self.answers(hosts, port: guarded.endpoint.port) == 0)
      // All but RST are answered with one.
      #expect(try Self.answers(hosts, port: 444) == 16)
    }
  }

  @Test("Port 0 lets the kernel choose, each time another")
  func chosenPort() throws {
    try withTwoHosts(offloads: true) { hosts in
      try hosts.a.inside {
        let first = try GuardSocket(at: Endpoint(hosts.a.address, 0))
        let second = try GuardSocket(at: Endpoint(hosts.a.address, 0))
        #expect(first.endpoint.port != 0 && first.endpoint.address == hosts.a.address)
        #expect(first.endpoint.port != second.endpoint.port)
      }
    }
  }

  @Test("A port that is taken is named, with what to do")
  func conflict() throws {
    try withTwoHosts(offloads: true) { hosts in
      try hosts.a.inside {
        let held = try GuardSocket(at: Endpoint(.any, 443))
        let error = text { () throws(SystemError) in
          _ = try GuardSocket(at: Endpoint(hosts.a.address, held.endpoint.port))
        }
        #expect(
          error == "bind TCP port 443 of 10.77.0.1: Address already in use. Choose another port, "
            + "or end the program that holds this one: sudo ss -tlnp sport = :443 names it")
      }
    }
  }

  @Test("As many guards as a large range needs can be open")
  func manyGuards() throws {
    #expect(try Descriptor.raiseLimit() >= 1024)
    try withTwoHosts(offloads: true) { hosts in
      let guards = try hosts.a.inside {
        try (20_000..<21_024).map { Held(try GuardSocket(at: Endpoint(.any, $0))) }
      }
      #expect(guards.count == 1024)
    }
  }
}

/// Gives this thread a capability that it is permitted, or takes it back.
func setEffective(_ capability: cap_value_t, _ isOn: Bool) throws {
  let state = unsafe cap_get_proc()
  defer { unsafe _ = cap_free(UnsafeMutableRawPointer(state)) }
  var value = capability
  guard unsafe cap_set_flag(state, CAP_EFFECTIVE, 1, &value, isOn ? CAP_SET : CAP_CLEAR) == 0,
    unsafe cap_set_proc(state) == 0
  else { throw SetupFailure(what: "change a capability") }
}

/// Holds a guard in an array.
private final class Held {
  let socket: GuardSocket
  init(_ socket: consuming GuardSocket) { self.socket = socket }
}
