// The slow path where the host's own firewall refuses, or the path is too narrow.

import Glibc
import Kernel
import Testing
import Wire

@Suite struct RawSocketTests {
  private static func run(_ hosts: TwoHosts, _ payloads: [Int]) -> SampleRun {
    SampleRun(
      channel: nil, payloads: payloads, local: Endpoint(hosts.a.address, 40_000),
      remote: Endpoint(hosts.b.address, 443))
  }

  @Test("A firewall's OUTPUT policy shows as EPERM", arguments: AddressFamily.allCases)
  func outputPolicy(_ family: AddressFamily) throws {
    try withTwoHosts(offloads: true, family: family) { hosts in
      var raw = try hosts.a.inside { try RawSocket(family: family) }
      let payloads = samplePayloads()
      let batch = sampleBatch([Self.run(hosts, [10, 10])])
      try hosts.a.run("nft", "add table inet t")
      try hosts.a.run(
        "nft", "add chain inet t o { type filter hook output priority 0; policy drop; }")
      let result = raw.send(batch, payloads: payloads, hops: [])
      #expect(result.segments == 0 && result.lost == 2 && result.lastError == EPERM)
    }
  }

  @Test("A segment over the interface's MTU is lost alone", arguments: AddressFamily.allCases)
  func tooLarge(_ family: AddressFamily) throws {
    try withTwoHosts(offloads: true, family: family) { hosts in
      var raw = try hosts.a.inside { try RawSocket(family: family) }
      let payloads = samplePayloads()
      let batch = sampleBatch([
        Self.run(hosts, [1500]), Self.run(hosts, [family == .ipv4 ? 1452 : 1432]),
      ])
      let result = raw.send(batch, payloads: payloads, hops: [])
      #expect(result.segments == 1 && result.lost == 1 && result.lastError == EMSGSIZE)
    }
  }

  @Test(
    "Packets leave by the interface that was asked for, whatever the route says",
    arguments: AddressFamily.allCases)
  func interface(_ family: AddressFamily) throws {
    try withTwoHosts(offloads: true, family: family) { hosts in
      let interface = try hosts.a.interface()
      var raw = try hosts.a.inside { try RawSocket(family: family, interface: interface) }
      var receiver = try hosts.b.inside {
        try PacketSocket(filter: .all(family), family: family)
      }
      try hosts.a.run("ip", "route", "add", "\(hosts.b.address)", "dev", "lo")
      let payloads = samplePayloads()
      let batch = sampleBatch([Self.run(hosts, [10])])
      #expect(raw.send(batch, payloads: payloads, hops: []).segments == 1)
      #expect(try receiver.collect(1).count == 1)
    }
  }
}
