// What the AF_PACKET socket lets in: nothing unfiltered, and garbage without harm.

import CLinux
import Glibc
import Kernel
import Synchronization
import Testing
import Wire

@Suite struct PacketFilterTests {
  /// An Ethernet header from B to A.
  private static let ethernet: [UInt8] = [2, 0, 0, 0, 0, 0x0A, 2, 0, 0, 0, 0, 0x0B, 8, 0]

  @Test("Nothing unfiltered is queued, however busy the link is while the socket is made")
  func attachedBeforeBind() throws {
    try withTwoHosts(offloads: true) { hosts in
      let flood = try Flood(from: hosts.b, to: Endpoint(hosts.a.address, 9))
      defer { flood.stop() }
      var witness = try hosts.a.inside { try PacketSocket(filter: .port(9)) }
      for _ in 0..<20 where try witness.collect(1).isEmpty {}
      var batch = PacketBatch(capacity: 4, slotSize: PacketSocket.slotSize)
      for _ in 0..<100 {
        var socket = try hosts.a.inside { try PacketSocket(filter: .port(10)) }
        #expect(try socket.receive(into: &batch) == 0)
      }
      var socket = try hosts.a.inside { try PacketSocket(filter: .port(10)) }
      #expect(try socket.collect(1).isEmpty)
      try socket.replaceFilter(.port(9))
      #expect(try !socket.collect(1).isEmpty, "the flood was there to be seen")
    }
  }

  @Test(
    "Truncated packets and garbage are slots of length 0, or harmless; what follows is received")
  func garbage() throws {
    try withTwoHosts(offloads: false) { hosts in
      var socket = try hosts.a.inside { try PacketSocket(filter: .everything) }
      let link = try hosts.b.inside { try LinkSender(on: try hosts.b.interface()) }
      // No IPv4 header, half of one, one that promises more than there is, and noise. The kernel
      // pads none of them on veth.
      let bodies: [[UInt8]] = [
        [], [0x45], Array(repeating: 0x45, count: 19), [0x4F] + Array(repeating: 0xFF, count: 60),
        Array(repeating: 0xFF, count: 1400), Array(repeating: 0, count: 900),
      ]
      for body in bodies { try link.send(Self.ethernet + body) }
      let received = try socket.collect(bodies.count, slotSize: 1024)
      #expect(received.map(\.bytes.count) == [0, 1, 19, 61, 0, 900])
      #expect(received[3].bytes == bodies[3])
      #expect(received.allSatisfy { $0.segmentSize == 0 })

      try link.send(Self.ethernet + bodies[4])
      #expect(try socket.collect(1).map(\.bytes) == [bodies[4]])
    }
  }

  @Test("An interface that goes down does not end receiving")
  func interfaceDown() throws {
    try withTwoHosts(offloads: true) { hosts in
      let interface = try hosts.a.interface()
      var socket = try hosts.a.inside {
        try PacketSocket(filter: .port(9), interface: interface)
      }
      try hosts.a.run("ip", "link", "set", "v0", "down")
      var batch = PacketBatch(capacity: 4, slotSize: PacketSocket.slotSize)
      #expect(try socket.receive(into: &batch) == 0)
      try hosts.a.run("ip", "link", "set", "v0", "up")

      // The kernel lets nothing pass until it has looked at the carrier (`linkwatch_event`), up to
      // a second later.
      let link = try hosts.b.inside { try LinkSender(on: try hosts.b.interface()) }
      var received: [Received] = []
      for _ in 0..<30 where received.isEmpty {
        try link.send(Self.ethernet + Array(repeating: 0, count: 22) + [0, 9])
        received = try socket.collect(1)
      }
      #expect(!received.isEmpty)
    }
  }
}

/// Sends UDP datagrams without pause until it is stopped, on a thread of its own: tests that wait
/// would keep a task from running.
private final class Flood: Sendable {
  private let isStopped = Atomic(false)
  private let host: TwoHosts.Host
  private let destination: Endpoint

  init(from host: TwoHosts.Host, to destination: Endpoint) throws {
    self.host = host
    self.destination = destination
    var thread = pthread_t()
    let code = unsafe pthread_create(
      &thread, nil,
      {
        unsafe try? Unmanaged<Flood>.fromOpaque($0!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    guard code == 0 else { throw SetupFailure(what: "start a thread") }
    pthread_detach(thread)
  }

  func stop() { isStopped.store(true, ordering: .relaxed) }

  private func run() throws {
    let socket = try host.inside { try DatagramSocket(connectedTo: destination) }
    let payloads = samplePayloads()
    var batch = DatagramBatch(datagrams: 1)
    _ = batch.append(flow: 0, destination: destination, payload: 0..<100)
    while !isStopped.load(ordering: .relaxed) {
      _ = socket.send(batch, runs: 0..<1, payloads: payloads)
    }
  }
}

/// Sends whole frames, whatever they are.
private struct LinkSender: ~Copyable {
  private let descriptor: Descriptor

  init(on interface: Int32) throws {
    descriptor = Descriptor(owning: socket(AF_PACKET, Int32(SOCK_RAW.rawValue), 0))
    var address = sockaddr_ll()
    address.sll_family = UInt16(AF_PACKET)
    address.sll_ifindex = interface
    let size = socklen_t(MemoryLayout<sockaddr_ll>.size)
    guard unsafe rs_bind(descriptor.rawValue, &address, size) == 0 else {
      throw SetupFailure(what: "bind")
    }
  }

  func send(_ frame: [UInt8]) throws {
    let count = unsafe write(descriptor.rawValue, frame, frame.count)
    guard count == frame.count else { throw SetupFailure(what: "send \(frame.count) bytes") }
  }
}
