import Crypto
import Samples
import Testing
import Wire

@testable import Engine

/// A frame of docs/protocol.md: a datagram of flow 0xbeef, number 1 of its direction.
struct SealedFrameExample: Sendable {
  let suite: CipherSuite
  let isFromClient: Bool
  let datagram: String
  let hex: String

  var bytes: [UInt8] { Samples.bytes(hex: hex) }

  static let frames = [
    SealedFrameExample(
      suite: .aes256GCM, isFromClient: true, datagram: "hello",
      hex: "17 0303 001c 00000001 bc4b4e dca816a7a7 dd26913f3a6bafd142e93dd44622973a"),
    SealedFrameExample(
      suite: .aes256GCM, isFromClient: false, datagram: "world",
      hex: "17 0303 001c 00000001 f45730 d81efabdba 0b511757cb5a6a66e0f37ae09ed88e62"),
    SealedFrameExample(
      suite: .chaCha20Poly1305, isFromClient: true, datagram: "hello",
      hex: "17 0303 001c 00000001 48aa56 1b041131e0 ba8134473dbce45561be4995275a517b"),
    SealedFrameExample(
      suite: .chaCha20Poly1305, isFromClient: false, datagram: "world",
      hex: "17 0303 001c 00000001 b123c2 9eec9211bf 66f3c033294a147c7e64357cd1aae144"),
  ]
}

@Suite struct SealedFrameGoldenTests {
  /// The cipher of the client or of the server in the example.
  private static func cipher(_ suite: CipherSuite, ofClient: Bool) -> FrameCipher {
    let up = ProtocolExample.key(ProtocolExample.clientToServer)
    let down = ProtocolExample.key(ProtocolExample.serverToClient)
    return FrameCipher(
      suite, keys: ChannelKeys(sealing: ofClient ? up : down, opening: ofClient ? down : up))
  }

  @Test("Sealed, a datagram is the example's, byte for byte", arguments: SealedFrameExample.frames)
  func sealing(_ example: SealedFrameExample) throws {
    var cipher = Self.cipher(example.suite, ofClient: example.isFromClient)
    var segments = SegmentBatch(runs: 1, pieces: 4, arenaSize: 512)
    #expect(segments.beginRun(channel: nil) == true)
    let datagram = Array(example.datagram.utf8)
    // Number 0 comes first.
    var range = 0..<0
    for _ in 0..<2 {
      let appended = segments.appendSealed(
        .datagram, flow: 0xBEEF, number: cipher.nextLowNumber, copying: datagram.rawSpan)
      let place = try #require(appended)
      cipher.seal(place, in: &segments)
      range = place.head.lowerBound - SealedFrame.clearByteCount..<place.tag.upperBound
    }
    let sealed = [UInt8](copying: segments.bytes(range))
    #expect(sealed == example.bytes)
  }

  @Test("The example opens, and is the datagram", arguments: SealedFrameExample.frames)
  func opening(_ example: SealedFrameExample) throws {
    var cipher = Self.cipher(example.suite, ofClient: !example.isFromClient)
    var packets = PacketBatch(capacity: 1, slotSize: 100)
    packets.append(copying: example.bytes.rawSpan, source: Endpoint(.any, 0))
    let parsed = SealedFrame(parsing: packets[0], at: 0)
    let frame = try #require(parsed)
    #expect(frame.number == 1)
    let reason = cipher.open(frame, at: 0, in: &packets)
    #expect(reason == nil)
    let plain = [UInt8](copying: packets[0])
    #expect(Array(plain[9..<17]) == [1, 0xBE, 0xEF] + Array(example.datagram.utf8))
  }
}
