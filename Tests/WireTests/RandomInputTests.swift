// Whatever comes from the network must be parsed or refused, never trap: a trap ends the program.

import Samples
import Testing
import Wire

@Suite struct RandomInputTests {
  /// Every parser over the same bytes; what they found is counted, so that none is optimized away.
  private static func parseEverything(_ bytes: RawSpan) -> Int {
    var found = 0
    if let packet = IPPacket(bytes) {
      found += 1
      if TCPSegment.isChecksumValid(of: packet) { found += 1 }
      found += parseSegment(packet.payload)
      if let message = EchoMessage(packet) { found += walkFrames(message.payload) }
      if ICMP.isChecksumValid(of: packet) { found += 1 }
    }
    found += parseSegment(bytes)
    found += TCPOptions(parsing: bytes) == .none ? 0 : 1
    if let content = HandshakeRecord.content(of: bytes), Hello(parsing: content) != nil {
      found += 1
    }
    found += FragmentHeader(parsing: bytes) == nil ? 0 : 1
    found += HelloSupplement(parsingBehindHello: bytes) == nil ? 0 : 1
    return found + walkFrames(bytes) + walkSealedFrames(bytes)
  }

  private static func parseSegment(_ bytes: RawSpan) -> Int {
    guard let segment = TCPSegment(bytes) else { return 0 }
    return (TCPOptions(parsing: segment.options) == .none ? 1 : 2) + walkFrames(segment.payload)
  }

  private static func walkFrames(_ bytes: RawSpan) -> Int {
    var offset = 0
    var frames = 0
    while let header = FrameHeader(parsing: bytes, at: offset) {
      offset += FrameHeader.byteCount + Int(header.length)
      frames += 1
    }
    return frames
  }

  private static func walkSealedFrames(_ bytes: RawSpan) -> Int {
    var offset = 0
    var frames = 0
    while let frame = SealedFrame(parsing: bytes, at: offset) {
      offset += frame.byteCount
      frames += 1
    }
    return frames
  }

  @Test func randomBytesNeverTrap() {
    var random = SplitMix64(seed: 5)
    let pool = random.bytes(1 << 16)
    let span = pool.rawSpan
    var found = 0
    for _ in 0..<1_000_000 {
      let number = random.next()
      let length = Int(number & 0x7F)
      let start = Int(number >> 32) % (pool.count - length)
      found += Self.parseEverything(span.extracting(start..<start + length))
    }
    #expect(found > 0)
  }

  @Test func mutatedSegmentsNeverTrap() {
    var random = SplitMix64(seed: 6)
    let seeds = KernelSegments.all + KernelSegments.allOfIPv6
    var found = 0
    for round in 0..<200_000 {
      var segment = seeds[round % seeds.count]
      for _ in 0..<1 + random.next() % 4 {
        segment[Int(random.next() % UInt64(segment.count))] = UInt8(
          truncatingIfNeeded: random.next())
      }
      let length = Int(random.next() % UInt64(segment.count + 1))
      found += Self.parseEverything(segment.rawSpan)
      found += Self.parseEverything(segment.rawSpan.extracting(0..<length))
    }
    #expect(found > 0)
  }

  @Test func randomTextNeverTraps() {
    var random = SplitMix64(seed: 7)
    let alphabet = Array("0123456789.,:- +ax\u{0664}\0")
    var found = 0
    for _ in 0..<200_000 {
      let length = Int(random.next() % 24)
      let text = String(
        (0..<length).map { _ in alphabet[Int(random.next() % UInt64(alphabet.count))] })
      if IPAddress(text) != nil { found += 1 }
      if Endpoint(text) != nil { found += 1 }
      if (try? PortSet(parsing: text)) != nil { found += 1 }
    }
    #expect(found > 0)
  }
}
