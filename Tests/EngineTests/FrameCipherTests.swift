import Crypto
import Samples
import Testing
import Wire

@testable import Engine

/// Both ends of a channel, and what a frame goes through between them.
private struct CipherPair: ~Copyable {
  private var client: FrameCipher
  private var server: FrameCipher
  private var packets = PacketBatch(capacity: 1, slotSize: 2048)
  private var segments = SegmentBatch(runs: 1, pieces: 8, arenaSize: 4096)

  init(_ suite: CipherSuite, serverKeys: (UInt8, UInt8) = (2, 1)) {
    client = FrameCipher(suite, keys: Self.keys(sealing: 1, opening: 2))
    server = FrameCipher(suite, keys: Self.keys(sealing: serverKeys.0, opening: serverKeys.1))
  }

  private static func keys(sealing: UInt8, opening: UInt8) -> ChannelKeys {
    ChannelKeys(
      sealing: SecretKey { $0.set(sealing, at: 0) }, opening: SecretKey { $0.set(opening, at: 0) })
  }

  var framesUsed: (client: UInt64, server: UInt64) { (client.framesUsed, server.framesUsed) }

  /// The client's next frame as it goes out: its payload copied, or sealed where it was received.
  mutating func seal(
    _ payload: [UInt8], type: FrameType = .datagram, flow: UInt16 = 9, copies: Bool = false
  ) -> [UInt8] {
    segments.removeAll()
    packets.removeAll()
    packets.append(copying: payload.rawSpan, source: Endpoint(.any, 0))
    precondition(segments.beginRun(channel: nil))
    let number = client.nextLowNumber
    if copies {
      let place = segments.appendSealed(type, flow: flow, number: number, copying: payload.rawSpan)
      client.seal(place!, in: &segments)
    } else {
      let place = segments.appendSealed(
        type, flow: flow, number: number, payload: 0..<payload.count)
      client.seal(place!, in: &segments, &packets)
    }
    segments.finishRun(
      TCPHeader(
        sourcePort: 1, destinationPort: 2, sequence: 3, acknowledgment: 4, flags: .ack, window: 5),
      from: .any, to: .any, identification: 0)
    let packet = segments[0].pieces.flatMap {
      [UInt8](copying: segments.bytes(of: segments.piece($0), packets: packets))
    }
    return Array(packet[40...])
  }

  /// What came of a frame at the server.
  enum Outcome: Equatable {
    case opened(type: UInt8, flow: UInt16, payload: [UInt8])
    case dropped(DropReason)
    case noFrame
  }

  mutating func open(_ frame: [UInt8]) -> Outcome {
    packets.removeAll()
    packets.append(copying: frame.rawSpan, source: Endpoint(.any, 0))
    guard let sealed = SealedFrame(parsing: packets[0], at: 0) else { return .noFrame }
    if let reason = server.open(sealed, at: 0, in: &packets) { return .dropped(reason) }
    let plain = [UInt8](copying: packets[0])
    return .opened(
      type: plain[9], flow: UInt16(plain[10]) << 8 | UInt16(plain[11]),
      payload: Array(plain[12..<12 + sealed.payloadLength]))
  }
}

@Suite struct FrameCipherTests {
  private static let suites: [CipherSuite] = [.aes256GCM, .chaCha20Poly1305]

  @Test(
    "What is sealed opens: payloads from none to the largest, copied or in place", arguments: suites
  )
  func roundTrip(_ suite: CipherSuite) {
    var pair = CipherPair(suite)
    var random = SplitMix64Samples(seed: 1)
    for length in [0, 1, 15, 16, 17, 63, 64, 65, 1400, 2000] {
      let payload = random.bytes(length)
      for copies in [false, true] {
        let frame = pair.seal(payload, type: .probe, flow: 0xBEEF, copies: copies)
        #expect(frame.count == length + SealedFrame.overhead)
        let outcome = pair.open(frame)
        #expect(outcome == .opened(type: 3, flow: 0xBEEF, payload: payload), "\(length) bytes")
      }
    }
    let used = pair.framesUsed
    #expect(used.client == 20 && used.server == 20)
  }

  @Test("Copied or in place makes no difference on the wire", arguments: suites)
  func placesAreTheSame(_ suite: CipherSuite) {
    var one = CipherPair(suite)
    var other = CipherPair(suite)
    for length in [0, 5, 1000] {
      let payload = [UInt8](repeating: 0x5A, count: length)
      let frames = (one.seal(payload), other.seal(payload, copies: true))
      #expect(frames.0 == frames.1)
    }
  }

  @Test("Frames of equal plaintext differ, and show nothing of it", arguments: suites)
  func equalPlaintext(_ suite: CipherSuite) {
    var pair = CipherPair(suite)
    let payload = [UInt8](repeating: 0xAA, count: 64)
    let frames = (0..<3).map { _ in Array(pair.seal(payload)[9...]) }
    #expect(Set(frames).count == 3)
    for frame in frames { #expect(frame.count { $0 == 0xAA } < 8) }
  }

  @Test("The other direction's key, or another channel's, opens nothing", arguments: suites)
  func wrongKeys(_ suite: CipherSuite) {
    for keys in [(1, 2), (2, 3), (2, 2)] as [(UInt8, UInt8)] {
      var pair = CipherPair(suite, serverKeys: keys)
      let outcome = pair.open(pair.seal([1, 2, 3]))
      #expect(outcome == .dropped(.badSeal))
    }
    var mixed = CipherPair(suite == .aes256GCM ? .chaCha20Poly1305 : .aes256GCM)
    var pair = CipherPair(suite)
    let outcome = mixed.open(pair.seal([1, 2, 3]))
    #expect(outcome == .dropped(.badSeal), "the same keys with the other suite")
  }

  @Test(
    "One wrong bit anywhere: the frame is none, or dropped, and the true one opens after it",
    arguments: suites)
  func wrongBits(_ suite: CipherSuite) {
    var pair = CipherPair(suite)
    _ = pair.open(pair.seal([]))
    let payload: [UInt8] = [10, 20, 30, 40, 50]
    let frame = pair.seal(payload)
    for bit in 0..<frame.count * 8 {
      var wrong = frame
      wrong[bit / 8] ^= 1 << UInt8(bit % 8)
      let outcome = pair.open(wrong)
      switch bit / 8 {
      // A shorter length can still be a frame; a longer one is cut.
      case 0...4: #expect(outcome == .noFrame || outcome == .dropped(.badSeal), "bit \(bit)")
      // The number 0 was seen.
      case 5...8:
        #expect(outcome == .dropped(bit == 64 ? .repeatedFrame : .badSeal), "bit \(bit)")
      default: #expect(outcome == .dropped(.badSeal), "bit \(bit)")
      }
    }
    let outcome = pair.open(frame)
    #expect(outcome == .opened(type: 1, flow: 9, payload: payload))
    let again = pair.open(frame)
    #expect(again == .dropped(.repeatedFrame))
  }

  @Test("A frame that was cut is none", arguments: suites)
  func truncation(_ suite: CipherSuite) {
    var pair = CipherPair(suite)
    let frame = pair.seal([1, 2, 3])
    for length in 0..<frame.count {
      let outcome = pair.open(Array(frame[..<length]))
      #expect(outcome == .noFrame)
    }
    let outcome = pair.open(frame)
    #expect(outcome == .opened(type: 1, flow: 9, payload: [1, 2, 3]))
  }

  @Test(
    "In any order within the window everything opens once, what is older not at all",
    arguments: suites)
  func reordering(_ suite: CipherSuite) {
    var random = SplitMix64Samples(seed: 5)
    var pair = CipherPair(suite)
    // Each frame twice, late by fewer places than the window is wide.
    let frames = (0..<6000).map { number in pair.seal([UInt8(number & 0xFF)]) }
    let order = (0..<12_000).map { step in
      (frame: step / 2, place: step / 2 + Int.random(in: 0..<2000, using: &random))
    }.sorted { $0.place < $1.place }
    var opened = Set<Int>()
    for step in order {
      let outcome = pair.open(frames[step.frame])
      let expected: CipherPair.Outcome =
        opened.insert(step.frame).inserted
        ? .opened(type: 1, flow: 9, payload: [UInt8(step.frame & 0xFF)]) : .dropped(.repeatedFrame)
      #expect(outcome == expected, "frame \(step.frame)")
    }
    #expect(opened.count == 6000)

    var other = CipherPair(suite)
    let early = (0..<2049).map { _ in other.seal([7]) }
    _ = other.open(early[2048])
    let oldest = other.open(early[1])
    let tooOld = other.open(early[0])
    #expect(oldest == .opened(type: 1, flow: 9, payload: [7]))
    #expect(tooOld == .dropped(.repeatedFrame))
  }
}
