// Sealed frames that come changed, late, twice and in any order.

import Crypto
import Samples
import Wire

@testable import Engine

extension FuzzTarget {
  static let sealed = FuzzTarget(name: "sealed") { input in
    walk(input)
    var script = Script(input)
    var traffic = SealedTraffic(script.byte() & 1 == 0 ? .aes256GCM : .chaCha20Poly1305)
    for _ in 0..<1 + script.choice(of: 8) { traffic.seal(script.take(script.choice(of: 64))) }
    while !script.isAtEnd { traffic.receive(&script) }
  } seeds: {
    [
      "one": [0, 0, 5, 104, 101, 108, 108, 111, 0, 0],
      "twice": [1, 1, 1, 7, 2, 8, 8, 0, 0, 0, 0, 1, 0],
      "reversed": [0, 3, 1, 7, 1, 8, 1, 9, 1, 6, 3, 0, 2, 0, 1, 0, 0, 0],
      "changed": [0, 0, 5, 104, 101, 108, 108, 111, 0, 1, 14, 1, 0, 0],
      "cut": [0, 0, 5, 104, 101, 108, 108, 111, 0, 2, 3, 0, 0],
      "record": bytes(hex: "17 03 03 00 17 00000000 01 0000") + [UInt8](repeating: 0, count: 16),
    ]
  }
}

/// Reads frames one behind the other, unopened.
private func walk(_ bytes: RawSpan) {
  var offset = 0
  while let frame = SealedFrame(parsing: bytes, at: offset) {
    require(frame.byteCount >= SealedFrame.overhead, "a frame has a seal")
    offset += frame.byteCount
    require(offset <= bytes.byteCount, "a frame is inside")
  }
}

/// One direction of a channel.
private struct SealedTraffic: ~Copyable {
  private var sender: FrameCipher
  private var receiver: FrameCipher
  private var segments = SegmentBatch(runs: 1, pieces: 4, arenaSize: 512)
  private var packets = PacketBatch(capacity: 1, slotSize: 512)
  private var frames: [(bytes: [UInt8], payload: [UInt8], wasOpened: Bool)] = []

  init(_ suite: CipherSuite) {
    let keys = [1, 2].map { byte in SecretKey { $0.set(byte as UInt8, at: 0) } }
    sender = FrameCipher(suite, keys: ChannelKeys(sealing: keys[0], opening: keys[1]))
    receiver = FrameCipher(suite, keys: ChannelKeys(sealing: keys[1], opening: keys[0]))
  }

  mutating func seal(_ payload: [UInt8]) {
    segments.removeAll()
    guard segments.beginRun(channel: nil),
      let place = segments.appendSealed(
        .datagram, flow: 7, number: sender.nextLowNumber, copying: payload.rawSpan)
    else { return require(false, "there is room") }
    sender.seal(place, in: &segments)
    let start = place.head.lowerBound - SealedFrame.clearByteCount
    let bytes = (start..<place.tag.upperBound).map { segments.bytes($0..<$0 + 1).byte(at: 0) }
    frames.append((bytes, payload, false))
  }

  /// One of the frames arrives, perhaps changed.
  mutating func receive(_ script: inout Script) {
    let index = script.choice(of: frames.count)
    var bytes = frames[index].bytes
    for _ in 0..<script.byte() & 3 {
      let place = script.choice(of: bytes.count)
      bytes[place] ^= script.byte()
    }
    let isIntact = bytes == frames[index].bytes
    guard let payload = open(bytes) else {
      return require(!isIntact || frames[index].wasOpened, "a frame opens")
    }
    require(isIntact, "what opens is as it was sealed")
    require(!frames[index].wasOpened, "a frame opens once")
    require(payload == frames[index].payload, "what was sealed comes out")
    frames[index].wasOpened = true
  }

  private mutating func open(_ bytes: [UInt8]) -> [UInt8]? {
    packets.removeAll()
    packets.append(copying: bytes.rawSpan, source: Endpoint(.any, 0))
    guard let frame = SealedFrame(parsing: packets[0], at: 0),
      receiver.open(frame, at: 0, in: &packets) == nil
    else { return nil }
    let start = SealedFrame.headerByteCount
    let payload = packets.bytes(start..<start + frame.payloadLength)
    return (0..<payload.byteCount).map { payload.byte(at: $0) }
  }
}
