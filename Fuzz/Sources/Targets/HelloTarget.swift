// The first payload as it is without a key: a Hello in its record, and what follows it with one.

import Samples
import Wire

extension FuzzTarget {
  static let hello = FuzzTarget(name: "hello") { input in
    guard let content = HandshakeRecord.content(of: input) else { return }
    let copy = (0..<content.byteCount).map { content.byte(at: $0) }
    require(
      HandshakeRecord.bytes(containing: copy).elementsEqual(Script(input).rest),
      "a record is its content and nothing else")
    if let message = ChannelMessage(parsing: input) {
      let content = (0..<message.content.byteCount).map { message.content.byte(at: $0) }
      require(
        ChannelMessage.bytes(message.kind, channel: message.channel, content: content)
          .elementsEqual(Script(input).rest), "a message on UDP reads as it is written")
    }
    guard let hello = Hello(parsing: content) else { return }
    require(Hello(parsing: hello.bytes.rawSpan) == hello, "a Hello reads as it is written")
    guard let supplement = HelloSupplement(parsingBehindHello: content) else { return }
    let again = hello.bytes + supplement.bytes
    require(
      HelloSupplement(parsingBehindHello: again.rawSpan) == supplement,
      "a supplement reads as it is written")
  } seeds: {
    // The example of docs/protocol.md, and what may differ from it.
    let record = bytes(
      hex: """
        16 03 01 00 1c  01 07 05 b4  05 b4 00 00  a1 b2 c3 d4
        00 11 22 33 44 55 66 77  88 99 aa bb cc dd ee ff
        """)
    let hello = Array(record.dropFirst(HandshakeRecord.headerByteCount))
    var unscaled = record
    unscaled.replaceSubrange(6..<9, with: [0xFF, 0, 0])
    let supplement = HelloSupplement(
      time: 1_790_000_000_000, cookie: 7, resetToken: ResetToken(high: 8, low: 9))
    return [
      "client": record, "no-options": unscaled,
      "later-version": HandshakeRecord.bytes(containing: [2] + hello.dropFirst() + [1, 2, 3]),
      "udp-token": ChannelMessage.bytes(
        .token, channel: 0xA1B2_C3D4, content: ChannelMessage.bytes(ofToken: 0x0123_4567_89AB_CDEF)),
      "with-supplement": HandshakeRecord.bytes(containing: hello + supplement.bytes),
    ]
  }
}
