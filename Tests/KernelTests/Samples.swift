// Runs to send, and what a socket receives, as values that tests compare.

import CLinux
import Glibc
import Kernel
import Wire

extension SocketFilter {
  /// Accepts every packet.
  static let everything = SocketFilter(instructions: [
    sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: .max)
  ])

  /// Accepts every TCP packet of IPv6 without extension headers: not what neighbours ask.
  static let tcpOverIPv6 = SocketFilter(instructions: [
    sock_filter(
      code: UInt16(BPF_LD | BPF_B | BPF_ABS), jt: 0, jf: 0, k: UInt32(bitPattern: SKF_NET_OFF) + 6),
    sock_filter(code: UInt16(BPF_JMP | BPF_JEQ | BPF_K), jt: 0, jf: 1, k: 6),
    sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: .max),
    sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: 0),
  ])

  /// Accepts all that the tests send of a family.
  static func all(_ family: AddressFamily) -> SocketFilter {
    family == .ipv4 ? .everything : .tcpOverIPv6
  }

  /// Accepts TCP and UDP to one port, in headers without options.
  static func port(_ port: UInt16) -> SocketFilter {
    let destinationPort = UInt32(bitPattern: SKF_NET_OFF) + 22
    return SocketFilter(instructions: [
      sock_filter(code: UInt16(BPF_LD | BPF_H | BPF_ABS), jt: 0, jf: 0, k: destinationPort),
      sock_filter(code: UInt16(BPF_JMP | BPF_JEQ | BPF_K), jt: 0, jf: 1, k: UInt32(port)),
      sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: .max),
      sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: 0),
    ])
  }
}

/// One received packet or datagram.
struct Received: Equatable {
  var bytes: [UInt8]
  var segmentSize: Int
  var isChecksumTrusted: Bool
  var source: Endpoint

  init(_ batch: borrowing PacketBatch, _ index: Int) {
    let slot = batch.slot(index)
    bytes = batch[index].array
    segmentSize = slot.segmentSize
    isChecksumTrusted = slot.isChecksumTrusted
    source = slot.source
  }

  /// The datagrams that the kernel merged into one.
  var datagrams: [[UInt8]] {
    guard segmentSize > 0 else { return [bytes] }
    return stride(from: 0, to: bytes.count, by: segmentSize).map {
      Array(bytes[$0..<min(bytes.count, $0 + segmentSize)])
    }
  }
}

extension RawSpan {
  var array: [UInt8] { (0..<byteCount).map { byte(at: $0) } }
}

/// Bytes that differ from place to place, as payload: a batch of one slot.
func samplePayloads() -> PacketBatch {
  var batch = PacketBatch(capacity: 1, slotSize: 65_536)
  let bytes = (0..<65_536).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
  unsafe batch.append(copying: bytes.span.bytes, source: Endpoint(.any, 0))
  return batch
}

/// A run for tests: a frame of `payloads[i]` bytes in each segment.
struct SampleRun {
  var channel: Int? = 0
  var payloads: [Int] = []
  var flags: TCPFlags = [.ack]
  var sequence: UInt32 = 0x1234_5678
  var options: [UInt8] = []
  var local: Endpoint
  var remote: Endpoint

  func append(to batch: inout SegmentBatch) {
    var fits = batch.beginRun(
      channel: channel, family: local.address.family, optionLength: options.count)
    var offset = 3
    for (index, length) in payloads.enumerated() {
      let header = FrameHeader(type: .datagram, length: UInt16(length), number: UInt32(index))
      fits = batch.appendFrame(header, payload: offset..<offset + length) && fits
      offset += length
    }
    precondition(fits)
    let tcp = TCPHeader(
      sourcePort: local.port, destinationPort: remote.port, sequence: sequence,
      acknowledgment: 99, flags: flags, window: 4096)
    unsafe batch.finishRun(
      tcp, from: local.address, to: remote.address, identification: 100,
      options: options.span.bytes)
  }
}

/// A batch of runs.
func sampleBatch(_ runs: [SampleRun]) -> SegmentBatch {
  var batch = SegmentBatch(runs: 256, pieces: 16_384, arenaSize: 1 << 18)
  for run in runs { run.append(to: &batch) }
  return batch
}

extension PacketSocket {
  /// What comes until there are `count` packets, or nothing has come for 150 ms.
  mutating func collect(_ count: Int = .max, slotSize: Int = Self.slotSize) throws -> [Received] {
    var batch = PacketBatch(capacity: 64, slotSize: slotSize)
    var all: [Received] = []
    while all.count < count, descriptor.isReadable(within: 150) {
      for index in 0..<(try receive(into: &batch)) { all.append(Received(batch, index)) }
    }
    return all
  }
}

extension DatagramSocket {
  func receive(into batch: inout PacketBatch) throws(SystemError) -> Int {
    var messages = DatagramMessages()
    return try receive(into: &batch, using: &messages)
  }

  func send(
    _ datagrams: borrowing DatagramBatch, runs: Range<Int>, payloads: borrowing PacketBatch
  ) -> SendResult {
    var messages = DatagramMessages()
    return send(datagrams, runs: runs, payloads: payloads, using: &messages)
  }

  /// What comes until there are `count` datagrams, or nothing has come for 150 ms.
  func collect(_ count: Int = .max) throws -> [Received] {
    var batch = PacketBatch(capacity: 8, slotSize: Self.slotSize)
    var all: [Received] = []
    while all.reduce(0, { $0 + $1.datagrams.count }) < count, descriptor.isReadable(within: 150) {
      for index in 0..<(try receive(into: &batch)) { all.append(Received(batch, index)) }
    }
    return all
  }
}

extension Descriptor {
  /// Waits until there is something to read.
  func isReadable(within milliseconds: Int32) -> Bool {
    var request = pollfd(fd: rawValue, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&request, 1, milliseconds) > 0
  }
}
