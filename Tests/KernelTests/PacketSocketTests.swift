// The fast path over veth: what is sent in one piece arrives complete and cut properly.

import Glibc
import Kernel
import Testing
import Wire

/// What the checks of a captured segment need.
private struct Segment: Equatable {
  var sequence: UInt32
  var flags: TCPFlags
  var payload: [UInt8]

  /// Checks a captured packet as a receiver would; nil where it is not right.
  init?(_ received: Received) {
    let span = unsafe received.bytes.span.bytes
    guard let packet = IPPacket(span), let segment = TCPSegment(packet.payload),
      received.isChecksumTrusted || TCPSegment.isChecksumValid(of: packet)
    else { return nil }
    sequence = segment.sequence
    flags = segment.flags
    payload = segment.payload.array
  }
}

@Suite struct PacketSocketTests {
  private static func run(_ hosts: TwoHosts, _ payloads: [Int], flags: TCPFlags = [.ack])
    -> SampleRun
  {
    SampleRun(
      payloads: payloads, flags: flags, local: Endpoint(hosts.a.address, 40_000),
      remote: Endpoint(hosts.b.address, 443))
  }

  @Test(
    "A super-segment is cut in software with right checksums where there are no offloads",
    arguments: AddressFamily.allCases)
  func cutWithoutOffloads(_ family: AddressFamily) throws {
    try withTwoHosts(offloads: false, family: family) { hosts in
      var receiver = try hosts.b.inside { try PacketSocket(filter: .all(family), family: family) }
      var sender = try hosts.a.inside { try PacketSocket(filter: .nothing) }
      let sizes = Array(repeating: 1193, count: 39) + [77]
      let payloads = samplePayloads()
      var batch = sampleBatch([Self.run(hosts, sizes, flags: [.ack, .psh])])
      let result = sender.send(&batch, payloads: payloads, hops: [try hosts.a.hop(to: hosts.b)])
      #expect(result.segments == 40 && result.lost == 0 && result.lastError == 0)

      let received = try receiver.collect(40)
      #expect(received.allSatisfy { $0.segmentSize == 0 && !$0.isChecksumTrusted })
      let segments = received.compactMap(Segment.init).sorted { $0.sequence < $1.sequence }
      try #require(segments.count == 40)
      #expect(segments.map(\.payload.count) == Array(repeating: 1201, count: 39) + [85])
      #expect(segments.map(\.sequence) == (0..<40).map { 0x1234_5678 + 1201 * $0 })
      #expect(segments.map(\.flags) == Array(repeating: [.ack], count: 39) + [[.ack, .psh]])
      #expect(segments.flatMap(\.payload) == stream(of: batch, payloads))
    }
  }

  @Test(
    "A super-segment passes whole where offloads are on, and its boundaries are told",
    arguments: AddressFamily.allCases)
  func wholeWithOffloads(_ family: AddressFamily) throws {
    try withTwoHosts(offloads: true, family: family) { hosts in
      var receiver = try hosts.b.inside { try PacketSocket(filter: .all(family), family: family) }
      var sender = try hosts.a.inside { try PacketSocket(filter: .nothing) }
      let payloads = samplePayloads()
      let sizes = Array(repeating: 1000, count: 62) + [1]
      var batch = sampleBatch([Self.run(hosts, sizes), Self.run(hosts, [500])])
      let result = sender.send(&batch, payloads: payloads, hops: [try hosts.a.hop(to: hosts.b)])
      #expect(result.segments == 64 && result.lost == 0)

      let received = try receiver.collect(2)
      #expect(received.map(\.segmentSize) == [1008, 0])
      #expect(received.map(\.isChecksumTrusted) == [true, true])
      #expect(
        received.compactMap(Segment.init).flatMap(\.payload) == stream(of: batch, payloads))
    }
  }

  @Test(
    "The raw socket delivers, byte for byte, what the fast path does",
    arguments: AddressFamily.allCases)
  func rawIsIdentical(_ family: AddressFamily) throws {
    try withTwoHosts(offloads: false, family: family) { hosts in
      var receiver = try hosts.b.inside { try PacketSocket(filter: .all(family), family: family) }
      var fast = try hosts.a.inside { try PacketSocket(filter: .nothing) }
      var raw = try hosts.a.inside { try RawSocket(family: family) }
      let payloads = samplePayloads()
      var synchronize = Self.run(hosts, [], flags: [.syn])
      synchronize.options = [2, 4, 5, 180, 4, 2, 3, 3, 7, 1, 1, 0]
      let runs = [
        Self.run(hosts, [0]), Self.run(hosts, [1, 1, 1]),
        Self.run(hosts, [family == .ipv4 ? 1452 : 1432]),
        Self.run(hosts, Array(repeating: 1193, count: 50) + [600], flags: [.ack, .psh, .fin]),
        synchronize, Self.run(hosts, Array(repeating: 33, count: 64)),
        Self.run(hosts, [20, 25, 30, 7]),  // cuts fall inside of frames, pieces at odd offsets
      ]
      var batch = sampleBatch(runs)
      let hops: [LinkHop?] = [try hosts.a.hop(to: hosts.b)]
      let expected = 1 + 3 + 1 + 51 + 1 + 64 + 5
      #expect(fast.send(&batch, payloads: payloads, hops: hops).segments == expected)
      let byFast = try receiver.collect(expected)
      #expect(raw.send(batch, payloads: payloads, hops: []).segments == expected)
      let byRaw = try receiver.collect(expected)

      let order: (Received, Received) -> Bool = {
        $0.bytes.lexicographicallyPrecedes($1.bytes)
      }
      #expect(byFast.count == expected)
      #expect(byFast.compactMap(Segment.init).count == expected)
      #expect(
        byFast.map(\.bytes).sorted { $0.lexicographicallyPrecedes($1) }
          == byRaw.sorted(by: order).map(\.bytes))
    }
  }

  @Test("Each run leaves by exactly one of the two sockets")
  func division() throws {
    try withTwoHosts(offloads: true) { hosts in
      var fast = try hosts.a.inside { try PacketSocket(filter: .nothing) }
      var raw = try hosts.a.inside { try RawSocket(interface: try hosts.a.interface()) }
      let payloads = samplePayloads()
      let channels: [Int?] = [0, 1, nil, 7]
      var batch = sampleBatch(
        channels.map {
          var run = Self.run(hosts, [10, 10, 10])
          run.channel = $0
          return run
        })
      let hops: [LinkHop?] = [try hosts.a.hop(to: hosts.b), nil]
      #expect(fast.send(&batch, payloads: payloads, hops: hops).segments == 3)
      #expect(raw.send(batch, payloads: payloads, hops: hops).segments == 9)
    }
  }

  @Test("A send over an interface that is gone is a loss with its errno; the rest goes on")
  func lostInterface() throws {
    try withTwoHosts(offloads: true) { hosts in
      var sender = try hosts.a.inside { try PacketSocket(filter: .nothing) }
      var gone = Self.run(hosts, [10, 10])
      gone.channel = 1
      let payloads = samplePayloads()
      var batch = sampleBatch([gone, Self.run(hosts, [10])])
      let hops = [try hosts.a.hop(to: hosts.b), LinkHop(interfaceIndex: 9999)]
      let result = sender.send(&batch, payloads: payloads, hops: hops)
      #expect(result.segments == 1 && result.lost == 2 && result.lastError == ENXIO)
    }
  }

  @Test("More runs than fit one system call are all sent")
  func manyRuns() throws {
    try withTwoHosts(offloads: true) { hosts in
      var receiver = try hosts.b.inside { try PacketSocket(filter: .everything) }
      var sender = try hosts.a.inside { try PacketSocket(filter: .nothing) }
      let payloads = samplePayloads()
      var batch = sampleBatch(Array(repeating: Self.run(hosts, [100, 100, 50]), count: 200))
      let result = sender.send(&batch, payloads: payloads, hops: [try hosts.a.hop(to: hosts.b)])
      #expect(result.segments == 600)
      #expect(try receiver.collect(200).compactMap(Segment.init).count == 200)
    }
  }

  @Test("Packets that find the receive buffer full are counted once")
  func drops() throws {
    try withTwoHosts(offloads: true) { hosts in
      let receiver = try hosts.b.inside { try PacketSocket(filter: .everything) }
      var sender = try hosts.a.inside { try PacketSocket(filter: .nothing) }
      #expect(receiver.receiveBufferLimit == nil)
      #expect(try receiver.drops() == 0)
      let payloads = samplePayloads()
      let hops: [LinkHop?] = [try hosts.a.hop(to: hosts.b)]
      var batch = sampleBatch(
        Array(repeating: Self.run(hosts, Array(repeating: 1000, count: 64)), count: 50))
      for _ in 0..<20 { _ = sender.send(&batch, payloads: payloads, hops: hops) }
      // 1,000 packets of 64 KiB do not fit into twice 16 MiB.
      #expect(try receiver.drops() > 100)
      #expect(try receiver.drops() == 0)
    }
  }
}

/// The TCP payload of all runs of a batch, as it is meant.
private func stream(of batch: borrowing SegmentBatch, _ payloads: borrowing PacketBatch) -> [UInt8]
{
  var bytes: [UInt8] = []
  for index in 0..<batch.count {
    let run = batch[index]
    var whole: [UInt8] = []
    for piece in run.pieces {
      whole += batch.bytes(of: batch.piece(piece), packets: payloads).array
    }
    bytes += whole.dropFirst(run.ipHeaderLength + TCPHeader.byteCount)
  }
  return bytes
}
