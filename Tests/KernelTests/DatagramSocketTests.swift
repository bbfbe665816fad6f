// The app's side: UDP with segmentation offload both ways, and the errors that must not end it.

import Glibc
import Kernel
import Testing
import Wire

@Suite struct DatagramSocketTests {
  /// Datagrams of these sizes, cut from the sample payloads, to one endpoint.
  private static func batch(_ sizes: [Int], to destination: Endpoint) -> DatagramBatch {
    var batch = DatagramBatch(datagrams: sizes.count)
    var offset = 0
    for size in sizes {
      let fits = batch.append(flow: 0, destination: destination, payload: offset..<offset + size)
      precondition(fits)
      offset += size
    }
    return batch
  }

  /// What `batch` of these sizes puts on the wire.
  private static func expected(_ sizes: [Int]) -> [[UInt8]] {
    let payloads = samplePayloads()
    var offset = 0
    return sizes.map { size in
      defer { offset += size }
      return payloads.bytes(offset..<offset + size).array
    }
  }

  @Test("Runs arrive whole, split where they were joined, and can be answered")
  func roundTrip() throws {
    try withTwoHosts(offloads: true) { hosts in
      let server = try hosts.b.inside {
        try DatagramSocket(listeningAt: Endpoint(hosts.b.address, 5000))
      }
      let client = try hosts.a.inside {
        try DatagramSocket(connectedTo: Endpoint(hosts.b.address, 5000))
      }
      #expect(client.receiveBufferLimit == nil && client.sendBufferLimit == nil)
      let sizes = Array(repeating: 1400, count: 40) + [7, 0, 300, 300, 1]
      let payloads = samplePayloads()
      let out = Self.batch(sizes, to: Endpoint(.any, 0))
      let result = client.send(out, runs: 0..<out.count, payloads: payloads)
      #expect(result.segments == sizes.count && result.lost == 0)
      let received = try server.collect(sizes.count)
      #expect(received.flatMap(\.datagrams) == Self.expected(sizes))
      #expect(received.contains { $0.segmentSize == 1400 }, "UDP_GRO merged some")
      let source = try client.endpoint()
      #expect(source.address == hosts.a.address && received.allSatisfy { $0.source == source })

      let back = Self.batch([500, 500, 20], to: source)
      #expect(server.send(back, runs: 0..<back.count, payloads: payloads).segments == 3)
      #expect(try client.collect(3).flatMap(\.datagrams) == Self.expected([500, 500, 20]))
    }
  }

  @Test("Only the runs asked for are sent, each to its destination")
  func someRuns() throws {
    try withTwoHosts(offloads: true) { hosts in
      let sender = try hosts.a.inside { try DatagramSocket(listeningAt: Endpoint(.any, 0)) }
      let first = try hosts.b.inside { try DatagramSocket(listeningAt: Endpoint(.any, 5001)) }
      let second = try hosts.b.inside { try DatagramSocket(listeningAt: Endpoint(.any, 5002)) }
      var batch = DatagramBatch(datagrams: 4)
      for (flow, port) in [(1, 5001), (2, 5002), (3, 5001), (4, 5002)] as [(Int, UInt16)] {
        let destination = Endpoint(hosts.b.address, port)
        let fits = batch.append(flow: flow, destination: destination, payload: 0..<flow)
        #expect(fits)
      }
      let payloads = samplePayloads()
      #expect(sender.send(batch, runs: 1..<3, payloads: payloads).segments == 2)
      #expect(try second.collect().map(\.bytes.count) == [2])
      #expect(try first.collect().map(\.bytes.count) == [3])
    }
  }

  @Test("Datagrams too large to be cut by the kernel are sent one by one")
  func fallback() throws {
    try withTwoHosts(offloads: true) { hosts in
      let server = try hosts.b.inside {
        try DatagramSocket(listeningAt: Endpoint(hosts.b.address, 5000))
      }
      let client = try hosts.a.inside {
        try DatagramSocket(connectedTo: Endpoint(hosts.b.address, 5000))
      }
      let sizes = [2000, 2000, 2000, 9]
      let payloads = samplePayloads()
      let batch = Self.batch(sizes, to: Endpoint(.any, 0))
      #expect(batch.count == 1)
      let result = client.send(batch, runs: 0..<1, payloads: payloads)
      #expect(result.segments == 4 && result.lost == 0)
      #expect(try server.collect(4).flatMap(\.datagrams) == Self.expected(sizes))
    }
  }

  @Test("A refusal by the target is no error, and costs no datagram that comes after")
  func refusal() throws {
    try withTwoHosts(offloads: true) { hosts in
      let target = Endpoint(hosts.b.address, 5000)
      let client = try hosts.a.inside { try DatagramSocket(connectedTo: target) }
      let payloads = samplePayloads()
      let batch = Self.batch([100], to: target)
      var slots = PacketBatch(capacity: 4, slotSize: DatagramSocket.slotSize)

      #expect(client.send(batch, runs: 0..<1, payloads: payloads).segments == 1)
      let isRefused = client.descriptor.isReadable(within: 1000)
      #expect(isRefused, "the ICMP error has come")
      #expect(try client.receive(into: &slots) == 0)

      #expect(client.send(batch, runs: 0..<1, payloads: payloads).segments == 1)
      let isRefusedAgain = client.descriptor.isReadable(within: 1000)
      #expect(isRefusedAgain)
      let server = try hosts.b.inside { try DatagramSocket(listeningAt: target) }
      let result = client.send(batch, runs: 0..<1, payloads: payloads)
      #expect(result.segments == 1 && result.lost == 0)
      #expect(try server.collect(1).count == 1)
    }
  }

  @Test("What cannot be bound says why and what to do")
  func bindErrors() throws {
    try withTwoHosts(offloads: true) { hosts in
      try hosts.a.inside {
        let taken = try DatagramSocket(listeningAt: Endpoint(.any, 5000))
        #expect(try taken.endpoint().port == 5000)
        #expect(
          text { () throws(SystemError) in _ = try DatagramSocket(listeningAt: Endpoint(.any, 5000))
          }
            == "bind UDP port 5000 of 0.0.0.0: Address already in use. Choose another port, or end "
            + "the program that holds this one: sudo ss -ulnp sport = :5000 names it")
        let foreign = Endpoint(IPAddress("192.0.2.1")!, 5000)
        #expect(
          text { () throws(SystemError) in _ = try DatagramSocket(listeningAt: foreign) }
            == "bind UDP port 5000 of 192.0.2.1: Cannot assign requested address. "
            + "This host has no address 192.0.2.1: see ip address")
        #expect(
          text { () throws(SystemError) in _ = try DatagramSocket(connectedTo: foreign) }
            == "connect UDP to 192.0.2.1:5000: Network is unreachable. "
            + "See ip route get 192.0.2.1")
      }
    }
  }
}

/// The text of the error that `body` throws.
func text(_ body: () throws(SystemError) -> Void) -> String? {
  do { try body() } catch { return error.description }
  return nil
}
