import Samples
import Testing
import Wire

@Suite struct PacketBatchTests {
  private static let app = Endpoint(IPAddress(ipv4: 0x0A00_0001), 9999)

  @Test func copiedPacketsAreReadBack() throws {
    var batch = PacketBatch(capacity: 3, slotSize: 100)
    for length in [0, 1, 100] {
      let payload = [UInt8](repeating: UInt8(length), count: length)
      #expect(batch.append(copying: payload.rawSpan, source: Self.app) == true)
    }
    #expect(batch.count == 3)
    #expect(batch.slot(1).source == Self.app)
    #expect(batch.slot(1).offset == 100)
    for (index, length) in [0, 1, 100].enumerated() {
      let packet = batch[index]
      #expect(packet.byteCount == length)
      for offset in packet.byteOffsets { #expect(packet.byte(at: offset) == UInt8(length)) }
    }
  }

  @Test func fullBatchRefuses() {
    var batch = PacketBatch(capacity: 1, slotSize: 8)
    let payload = [UInt8](repeating: 7, count: 9)
    #expect(batch.append(copying: payload.rawSpan, source: Self.app) == false, "larger than a slot")
    #expect(batch.append(copying: payload.rawSpan.extracting(0..<8), source: Self.app) == true)
    #expect(batch.append(copying: payload.rawSpan.extracting(0..<1), source: Self.app) == false)
    #expect(batch.append(PacketSlot(offset: 0, length: 1)) == false)
    #expect(batch.count == 1)
    batch.removeAll()
    #expect(batch.count == 0)
    #expect(batch.append(PacketSlot(offset: 0, length: 1)) == true)
  }

  @Test(
    arguments: [
      (-1, 1), (0, -1), (0, 33), (32, 1), (33, 0), (.max, 1), (1, .max), (.max, .max), (.min, 1),
    ] as [(Int, Int)])
  func slotOutsideOfMemoryIsRefused(offset: Int, length: Int) {
    var batch = PacketBatch(capacity: 4, slotSize: 8)
    #expect(batch.append(PacketSlot(offset: offset, length: length)) == false)
    #expect(batch.count == 0)
  }

  @Test func slotMayUseAllOfMemory() {
    var batch = PacketBatch(capacity: 4, slotSize: 8)
    #expect(batch.append(PacketSlot(offset: 0, length: 32)) == true)
    #expect(batch.append(PacketSlot(offset: 32, length: 0)) == true)
    #expect(batch[0].byteCount == 32)
    #expect(batch[1].byteCount == 0)
  }

  @Test func emptyBatchRefusesEverything() {
    var batch = PacketBatch(capacity: 0, slotSize: 0)
    #expect(batch.append(PacketSlot(offset: 0, length: 0)) == false)
    #expect(batch.append(copying: RawSpan(), source: Self.app) == false)
  }
}
