import Samples
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
