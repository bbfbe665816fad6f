// What comes with a packet from the kernel: control messages (cmsg(3)) and the virtio header.
//
//   input   | where tp_net is 1 | length of the control data 1 | control data | virtio header, packet |

import CLinux
import Samples
import Wire

@testable import Kernel

extension FuzzTarget {
  static let received = FuzzTarget(name: "received") { input in
    var script = Script(input)
    let networkOffset = Int(script.byte()) - 8
    var control = script.take(script.size())
    for range in unsafe control.withUnsafeMutableBytes({ unsafe ranges(in: $0) }) {
      require(range.upperBound <= control.count, "control data is inside")
    }
    let bytes = script.rest
    guard
      let slot = PacketSlot(received: bytes.rawSpan, at: 64, networkOffset: networkOffset)
    else { return }
    require(
      slot.offset >= 64 && slot.length >= 0 && slot.offset + slot.length == 64 + bytes.count,
      "a packet is inside")
    require((0...65535).contains(slot.segmentSize), "a size is one")
  } seeds: {
    // A tpacket_auxdata of a packet behind an Ethernet header, from a 64-bit machine.
    let control = bytes(
      hex: """
        2400000000000000 07010000 08000000
        01000020 36000000 36000000 0000 0e00 0000 0000 00000000
        """)
    let virtio = bytes(hex: "01 01 3600 b405 2200 1000")
    let ethernet = bytes(hex: "020000000001 020000000002 0800")
    return [
      "data": [8 + 14, UInt8(control.count)] + control + virtio + ethernet + KernelSegments.data,
      "nothing": [8, 0],
      // Found: a length beyond the end of the control data.
      "long-control": [8, 16] + control.prefix(16),
    ]
  }
}

/// Where in the control data those of our kinds lie.
private func ranges(in control: UnsafeMutableRawBufferPointer) -> [Range<Int>] {
  guard let start = control.baseAddress else { return [] }
  var message = unsafe msghdr()
  unsafe message.msg_control = start
  unsafe message.msg_controllen = control.count
  let kinds = [
    (SOL_PACKET, PACKET_AUXDATA, MemoryLayout<tpacket_auxdata>.size),
    (SOL_UDP, UDP_GRO, MemoryLayout<Int32>.size),
  ]
  return kinds.compactMap { level, kind, size in
    guard let data = unsafe rs_control_data(&message, level, kind, size) else { return nil }
    let offset = unsafe UnsafeRawPointer(start).distance(to: data)
    return offset..<offset + size
  }
}
