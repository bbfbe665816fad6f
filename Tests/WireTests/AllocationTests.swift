import AllocationCounter
import Samples
import Testing
import Wire

/// Batches are allocated once; building, reading and emptying them must not touch the heap.
@Suite(.enabled(if: allocations_are_counted()))
struct AllocationTests {
  private static let app = Endpoint(IPAddress(ipv4: 0x0A00_0001), 9999)

  @Test func counterCounts() {
    let before = allocation_count()
    let array = [UInt8](repeating: 1, count: 1000 + Int(before & 1))
    let after = allocation_count()
    #expect(array.count >= 1000)
    #expect(after > before)
  }

  @Test func batchesAllocateNothing() {
    var packets = PacketBatch(capacity: 64, slotSize: 2048)
    var segments = SegmentBatch(runs: 64, pieces: 256, arenaSize: 1 << 16)
    var datagrams = DatagramBatch(datagrams: 64)
    let payload = SplitMix64.payload
    var sum = 0
    let before = allocation_count()
    for _ in 0..<100 {
      sum &+= Self.fill(&packets, with: payload.rawSpan)
      sum &+= Self.send(packets, in: &segments)
      sum &+= Self.deliver(packets, in: &datagrams)
      packets.removeAll()
      segments.removeAll()
      datagrams.removeAll()
    }
    let after = allocation_count()
    #expect(after - before == 0)
    #expect(sum > 100 * 64 * 1400)
  }

  private static func fill(_ packets: inout PacketBatch, with payload: RawSpan) -> Int {
    while packets.append(copying: payload, source: app) {}
    return packets.count
  }

  private static func send(
    _ packets: borrowing PacketBatch, in segments: inout SegmentBatch
  ) -> Int {
    let tcp = TCPHeader(
      sourcePort: 1, destinationPort: 2, sequence: 3, acknowledgment: 4, flags: .ack, window: 5)
    for index in 0..<packets.count {
      let slot = packets.slot(index)
      guard segments.beginRun(channel: index) else { return 0 }
      let frame = FrameHeader(type: .datagram, length: UInt16(slot.length), number: 0)
      _ = segments.appendFrame(frame, payload: slot.offset..<slot.offset &+ slot.length)
      segments.finishRun(tcp, from: .any, to: .any, identification: 0)
    }
    var checksum = Checksum()
    for run in 0..<segments.count {
      for piece in segments[run].pieces {
        checksum.add(segments.bytes(of: segments.piece(piece), packets: packets))
      }
    }
    return Int(checksum.value)
  }

  private static func deliver(
    _ packets: borrowing PacketBatch, in datagrams: inout DatagramBatch
  ) -> Int {
    var sum = 0
    for index in 0..<packets.count {
      let slot = packets.slot(index)
      _ = datagrams.append(
        flow: index % 3, destination: slot.source,
        payload: slot.offset..<slot.offset &+ slot.length)
    }
    for run in 0..<datagrams.count {
      for piece in datagrams[run].pieces { sum &+= datagrams.piece(piece).length }
    }
    return sum
  }
}

extension SplitMix64 {
  fileprivate static let payload = {
    var random = SplitMix64(seed: 8)
    return random.bytes(1400)
  }()
}
