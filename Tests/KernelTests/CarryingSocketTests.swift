// UDP sockets that carry channels: where datagrams were sent to, where answers leave from, and runs whose
// segments do not begin where pieces do.

import Glibc
import Kernel
import Testing
import Wire

@Suite struct CarryingSocketTests {
  /// One run of sealed-like segments: a channel, a frame header, and `size` bytes of payload each.
  private static func batch(_ path: FourTuple, sizes: [Int]) -> SegmentBatch {
    var batch = SegmentBatch(runs: 4, pieces: 1024, arenaSize: 1 << 16)
    var fits = batch.beginRun(on: path, channel: 0x0102_0304)
    var offset = 0
    for size in sizes {
      let place = batch.appendSealed(.datagram, flow: 1, number: 2, payload: offset..<offset + size)
      fits = fits && place != nil
      offset += size
    }
    precondition(fits)
    batch.finishRun()
    return batch
  }

  /// What comes from `socket` until there are `count` datagrams, each with where it was sent to.
  private static func collect(
    _ count: Int, from socket: borrowing DatagramSocket
  ) throws -> [(bytes: [UInt8], source: Endpoint, destination: Endpoint)] {
    var batch = PacketBatch(capacity: 64, slotSize: DatagramSocket.slotSize)
    var messages = DatagramMessages()
    var all: [(bytes: [UInt8], source: Endpoint, destination: Endpoint)] = []
    while all.count < count, socket.descriptor.isReadable(within: 500) {
      for index in 0..<(try socket.receive(into: &batch, using: &messages)) {
        let slot = batch.slot(index)
        let step = slot.segmentSize > 0 ? slot.segmentSize : max(slot.length, 1)
        for start in stride(from: 0, to: slot.length, by: step) {
          let end = min(start + step, slot.length)
          all.append(
            (
              batch.bytes(slot.offset + start..<slot.offset + end).array, slot.source,
              slot.destination
            ))
        }
      }
    }
    return all
  }

  /// The wildcard of IPv6 takes in both families.
  @Test(
    "Answers leave from the address that was spoken to",
    arguments: [
      (AddressFamily.ipv4, IPAddress.any), (.ipv4, .anyIPv6), (.ipv6, .anyIPv6),
    ])
  func answersFromTheAddressSpokenTo(family: AddressFamily, wildcard: IPAddress) throws {
    try withTwoHosts(offloads: true, family: family) { hosts in
      let second = IPAddress(family == .ipv4 ? "10.99.99.7" : "fd99::7")!
      let length = family == .ipv4 ? 32 : 128
      try hosts.b.run("ip", "address", "add", "\(second)/\(length)", "dev", "lo")
      try hosts.a.run("ip", "route", "add", "\(second)", "via", "\(hosts.b.address)")
      let server = try hosts.b.inside {
        try DatagramSocket(carryingAt: Endpoint(wildcard, 5000))
      }
      for address in [hosts.b.address, second] {
        let peer = Endpoint(address, 5000)
        let client = try hosts.a.inside {
          try DatagramSocket(carryingAt: Endpoint(hosts.a.address, 0), connectedTo: peer)
        }
        let own = try client.endpoint()
        let payloads = samplePayloads()
        var messages = DatagramMessages()
        let out = Self.batch(FourTuple(local: own, remote: peer), sizes: [1000, 1000, 1000, 3])
        let sent = client.send(out, runs: 0..<1, payloads: payloads, using: &messages)
        #expect(sent.segments == 4)
        let received = try Self.collect(4, from: server)
        #expect(received.map(\.bytes.count) == [1032, 1032, 1032, 35])
        #expect(received.allSatisfy { $0.destination == peer && $0.source == own })
        let back = Self.batch(FourTuple(local: peer, remote: own), sizes: [500, 20])
        let answered = server.send(back, runs: 0..<1, payloads: payloads, using: &messages)
        #expect(answered.segments == 2)
        let answers = try Self.collect(2, from: client)
        #expect(answers.map(\.bytes.count) == [532, 52])
        #expect(answers.allSatisfy { $0.source == peer && $0.destination == own })
      }
    }
  }

  /// The kernel cuts no datagrams that are larger than the MTU; these are sent one by one, and cut by IP,
  /// which a socket that does not carry channels lets it do.
  @Test("A run that the kernel does not cut arrives as the same datagrams")
  func runsSentSeparately() throws {
    try withTwoHosts(offloads: true) { hosts in
      let server = try hosts.b.inside { try DatagramSocket(carryingAt: Endpoint(.any, 5000)) }
      let client = try hosts.a.inside { try DatagramSocket(listeningAt: Endpoint(.any, 6000)) }
      let path = FourTuple(
        local: Endpoint(hosts.a.address, 6000), remote: Endpoint(hosts.b.address, 5000))
      let payloads = samplePayloads()
      let sizes = [1600, 1600, 1600, 77]
      let out = Self.batch(path, sizes: sizes)
      var messages = DatagramMessages()
      let result = client.send(out, runs: 0..<1, payloads: payloads, using: &messages)
      #expect(result.segments == 4 && result.lost == 0)
      let received = try Self.collect(4, from: server)
      #expect(received.map(\.bytes.count) == sizes.map { $0 + 32 })
      var offset = 0
      for (datagram, size) in zip(received, sizes) {
        #expect(datagram.bytes[..<4] == [1, 2, 3, 4] && datagram.source == path.local)
        #expect(
          Array(datagram.bytes[16..<16 + size]) == payloads.bytes(offset..<offset + size).array)
        offset += size
      }
    }
  }

  @Test(
    "A segment larger than the device's MTU is lost, and never fragmented",
    arguments: AddressFamily.allCases)
  func neverFragmented(family: AddressFamily) throws {
    try withTwoHosts(offloads: true, family: family) { hosts in
      let peer = Endpoint(hosts.b.address, 5000)
      let client = try hosts.a.inside {
        try DatagramSocket(carryingAt: Endpoint(hosts.a.address, 0), connectedTo: peer)
      }
      let out = Self.batch(FourTuple(local: try client.endpoint(), remote: peer), sizes: [1600])
      var messages = DatagramMessages()
      let result = client.send(out, runs: 0..<1, payloads: samplePayloads(), using: &messages)
      #expect(result.lost == 1 && result.lastError == EMSGSIZE)
    }
  }

  /// A socket of both families does not fragment what goes to either.
  @Test("A server's socket fragments nothing either", arguments: AddressFamily.allCases)
  func serverNeverFragments(family: AddressFamily) throws {
    try withTwoHosts(offloads: true, family: family) { hosts in
      let server = try hosts.b.inside {
        try DatagramSocket(carryingAt: Endpoint(.anyIPv6, 5000))
      }
      let path = FourTuple(
        local: Endpoint(hosts.b.address, 5000), remote: Endpoint(hosts.a.address, 6000))
      var messages = DatagramMessages()
      let out = Self.batch(path, sizes: [1600])
      let result = server.send(out, runs: 0..<1, payloads: samplePayloads(), using: &messages)
      #expect(result.lost == 1 && result.lastError == EMSGSIZE)
    }
  }

  @Test(
    "A host where nothing listens is told of, by sending and by receiving",
    arguments: AddressFamily.allCases)
  func refusals(family: AddressFamily) throws {
    try withTwoHosts(offloads: true, family: family) { hosts in
      let peer = Endpoint(hosts.b.address, 5009)
      let client = try hosts.a.inside {
        try DatagramSocket(carryingAt: Endpoint(hosts.a.address, 0), connectedTo: peer)
      }
      let path = FourTuple(local: try client.endpoint(), remote: peer)
      var messages = DatagramMessages()
      let payloads = samplePayloads()
      let out = Self.batch(path, sizes: [10])
      _ = client.send(out, runs: 0..<1, payloads: payloads, using: &messages)
      let isRefused = client.descriptor.isReadable(within: 500)
      let again = client.send(out, runs: 0..<1, payloads: payloads, using: &messages)
      let refusals = messages.refusals
      #expect(isRefused && again.lost == 0 && refusals == 1)
    }
  }

  /// The error waits on the socket, and would be that of the next one.
  @Test(
    "What a router says of a packet that was too large costs no other one",
    arguments: AddressFamily.allCases)
  func tooLargeForARouter(family: AddressFamily) throws {
    try withTwoHosts(offloads: true, family: family) { hosts in
      // B would send it back on the same wire.
      let far = Endpoint(IPAddress(family == .ipv4 ? "10.99.99.7" : "fd99::7")!, 5000)
      let setting = family == .ipv4 ? "ipv4.ip_forward" : "ipv6.conf.all.forwarding"
      try hosts.b.run("sysctl", "-qw", "net.\(setting)=1")
      try hosts.b.run("ip", "route", "add", "\(far.address)", "dev", "v0", "mtu", "lock", "1300")
      try hosts.a.run("ip", "route", "add", "\(far.address)", "via", "\(hosts.b.address)")
      let client = try hosts.a.inside {
        try DatagramSocket(carryingAt: Endpoint(hosts.a.address, 0), connectedTo: far)
      }
      let path = FourTuple(local: try client.endpoint(), remote: far)
      var messages = DatagramMessages()
      let large = Self.batch(path, sizes: [1350])
      let small = Self.batch(path, sizes: [10])
      for _ in 0..<3 {
        let payloads = samplePayloads()
        let first = client.send(large, runs: 0..<1, payloads: payloads, using: &messages)
        let isTold = client.descriptor.isReadable(within: 500)
        let next = client.send(small, runs: 0..<1, payloads: payloads, using: &messages)
        #expect(first.lost == 0 && isTold && next.lost == 0)
      }
    }
  }
}
