import Samples
import Testing
import Wire

extension SegmentBatch {
  /// The bytes of run `index`, gathered as the kernel would from the iovec.
  borrowing func packet(_ index: Int, gatheredFrom packets: borrowing PacketBatch) -> [UInt8] {
    var gathered: [UInt8] = []
    for number in self[index].pieces {
      gathered += array(bytes(of: piece(number), packets: packets))
    }
    return gathered
  }
}

extension Checksum {
  /// The checksum that offload writes into a packet whose field holds the partial sum
  /// (`skb_checksum_help`): over everything from the TCP header on, the field included.
  static func completing(partial packet: [UInt8]) -> UInt16 {
    var checksum = Checksum()
    checksum.add(packet.rawSpan.extracting((packet[0] >> 4 == 4 ? 20 : 40)..<packet.count))
    return checksum.value
  }
}

/// The bytes of a span as an array, which may be compared.
func array(_ bytes: RawSpan) -> [UInt8] {
  var array: [UInt8] = []
  for offset in bytes.byteOffsets { array.append(bytes.byte(at: offset)) }
  return array
}

/// Fills batches of every small size, with room for up to `largest` bytes: they refuse in time, and what
/// they hold stays whole. `fill` gives the payload of each run.
func expectFullBatchesWhole(
  upTo largest: Int, _ packets: borrowing PacketBatch, filledBy fill: (inout SegmentBatch) -> [Int]
) {
  for pieces in 0...12 {
    for arenaSize in stride(from: 0, through: largest, by: 8) {
      var batch = SegmentBatch(runs: 3, pieces: pieces, arenaSize: arenaSize)
      let sizes = fill(&batch)
      #expect(batch.count == sizes.count)
      for index in 0..<batch.count {
        let packet = batch.packet(index, gatheredFrom: packets)
        #expect(packet.count == 40 + sizes[index])
        #expect(Int(packet.rawSpan.be16(at: 2)) == packet.count)
      }
    }
  }
}
