// The frames of a payload.

import Samples
import Wire

extension FuzzTarget {
  static let frame = FuzzTarget(name: "frame") { payload in
    var offset = 0
    while let header = FrameHeader(parsing: payload, at: offset) {
      require(header.encoded == payload.be64(at: offset), "a header is what its bytes say")
      offset += FrameHeader.byteCount + Int(header.length)
    }
    require(offset > payload.byteCount - FrameHeader.byteCount, "no frame is left out")
  } seeds: {
    // The examples of docs/protocol.md.
    let examples = [
      "datagram": bytes(hex: "01 00 05 be ef 12 34 56  68 65 6c 6c 6f"),
      "fragment": bytes(hex: "02 00 0a be ef 12 34 57  0a 0b 0c 01 00 03 00 05  6c 6f"),
      "probe": bytes(hex: "03 00 04 00 00 00 00 07  00 0f 42 40"),
      "answer": bytes(hex: "04 00 04 00 00 00 00 09  00 0f 42 40"),
      "suspect": bytes(hex: "06 00 08 00 00 00 00 0a  a1 b2 c3 d4 0b ad ca fe"),
      "close": bytes(hex: "07 00 00 00 00 00 00 0b"),
      "keepalive": bytes(hex: "08 00 00 00 00 00 00 0c"),
    ]
    let all = examples.sorted { $0.key < $1.key }.flatMap(\.value)
    return examples.merging(["bundle": all]) { $1 }
  }
}
