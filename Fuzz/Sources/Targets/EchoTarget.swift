// ICMP echo messages of a tunnel.

import Samples
import Wire

extension FuzzTarget {
  static let icmp = FuzzTarget(name: "icmp") { input in
    guard let packet = IPPacket(input) else { return }
    let family = packet.source.family
    require(
      ICMP.isChecksumValid(of: packet)
        == (plainSum(of: packet, family == .ipv4 ? nil : 58) == 0xFFFF), "the checksum")
    guard let message = EchoMessage(packet) else { return }
    require(
      EchoHeader.byteCount + message.payload.byteCount == packet.payload.byteCount,
      "header and payload are all there is")
    if let content = ChannelMessage(parsing: message.payload)?.content {
      require(content.byteCount < message.payload.byteCount, "a message's content is inside")
    }
    write(message, like: packet, family)
  } seeds: {
    // Of ping(8), with a request's badge: of each family the request, and a kernel's answer, which is none
    // of a tunnel's; a token, which is one.
    [
      "request": bytes(
        hex: """
          45000029f0ac40004001c623c0000202c0000201 08004052537b0001
          52534351 a1b2c3d4 0100000568
          """),
      "answer": bytes(
        hex: """
          45000029f8f800004001fdd7c0000201c0000202 00004852537b0001
          52534351 a1b2c3d4 0100000568
          """),
      "request6": bytes(
        hex: """
          600710df00153a40 20010db8000000000000000000000002 20010db8000000000000000000000001
          80006c8b537d0001 52534351 a1b2c3d4 0100000568
          """),
      "token": bytes(
        hex: """
          45000032000000004001fdd7c0000201c0000202 00000000537b0001
          52534341 160301000d 02 a1b2c3d4 0123456789abcdef
          """),
    ]
  }

  /// Writes what was read: it is read as the same, with a right checksum.
  private static func write(
    _ message: borrowing EchoMessage, like packet: borrowing IPPacket, _ family: AddressFamily
  ) {
    let packets = PacketBatch(capacity: 1, slotSize: 64)
    var batch = SegmentBatch(
      runs: 1, pieces: 2, arenaSize: 256 + message.payload.byteCount)
    require(
      batch.beginEcho(channel: nil, number: nil, family: family)
        && batch.append(copying: message.payload), "there is room")
    batch.finishEcho(
      message.header, from: packet.source, to: packet.destination, identification: 0, flowLabel: 0)
    batch.completeChecksums(packets: packets)
    guard let again = IPPacket(batch.bytes(of: batch.piece(0), packets: packets)),
      let read = EchoMessage(again)
    else { return require(false, "a message that is written can be read") }
    require(
      read.header == message.header && ICMP.isChecksumValid(of: again)
        && read.payload.byteCount == message.payload.byteCount, "what was read is written the same")
  }
}
