// The first message that both sides send on a channel: a Hello, bare or inside of the key exchange.
//
//   client                                          server
//     hint 4 | suite 1 | e 32 | sealed Hello …  ──►   finds the key by the hint
//                       ◄──  e 32 | sealed Hello …    nothing else, until a frame of the client's opens

internal import Crypto
internal import Wire

extension TunnelEngine {
  /// Sends this side's first message: the first time with the next sequence number, then again with
  /// the same.
  mutating func sendHello(on index: Int, into segments: inout SegmentBatch) {
    let length = channels[index].firstMessage.count
    guard length > 0 else { return }
    guard channels[index].numbered == nil else {
      return send(message: channels[index].firstMessage, on: index, into: &segments)
    }
    guard begin(channels[index].firstMessage, on: channels[index].tuple, into: &segments) else {
      return counters.drop(.batchFull)
    }
    guard let tcp = channels[index].tcp, tcp.sendHighest != tcp.firstSequence else {
      return finishRun(on: index, payloadLength: length, into: &segments)
    }
    let tuple = channels[index].tuple
    let header = channels[index].tcp?.repeatedHeader(
      tuple, flags: [.ack, .psh], sequence: tcp.firstSequence)
    if let header { finish(header, on: index, into: &segments) }
  }

  /// Begins a segment with a copy of these bytes as its payload; false, and nothing done, where the
  /// batch is full.
  func begin(
    _ payload: [UInt8], on tuple: FourTuple, into segments: inout SegmentBatch
  ) -> Bool {
    guard segments.beginRun(channel: nil, family: tuple.family) else { return false }
    guard segments.append(copying: payload.span.octets) else {
      segments.abandonRun()
      return false
    }
    return true
  }

  /// What this side's Hello says of a channel.
  func hello(
    _ carrier: CarrierState, path: Path, isIPv4: Bool, channel: UInt32, session: SessionID
  ) -> Hello {
    let headers = carrier.kind.headerByteCount(isIPv4: isIPv4)
    let segmentSize = UInt16(path.segmentSize(behind: headers))
    var hello = Hello(
      observed: carrier.observed, segmentSize: segmentSize, channel: channel, session: session)
    hello.version = configuration.version
    hello.flags = dialer == nil ? cipherFlags : cipherFlags.union(configuration.schedule.flags)
    return hello
  }

  mutating func tellVersion(_ version: UInt8, of remote: Endpoint) {
    counters.drop(.badHello)
    guard !hasToldVersion else { return }
    hasToldVersion = true
    events.append(.versionMismatch(remote: remote, version: version))
  }

  mutating func tellCipher(of remote: Endpoint) {
    counters.drop(.badHello)
    guard !hasToldCipher else { return }
    hasToldCipher = true
    events.append(.cipherMismatch(remote: remote))
  }
}

/// The parts of a first message, besides those of Noise.
enum FirstMessage {
  /// The bytes in front of a client's Noise message: hint 4, suite 1.
  static let preambleByteCount = 5
  private static let protocolName = Array("rsock".utf8)

  /// What both sides mix into the key exchange: the bytes in front of it are part of it.
  static func prologue(preamble: RawSpan) -> [UInt8] {
    protocolName + (0..<preamble.byteCount).map { preamble.byte(at: $0) }
  }

  /// The byte that stands for a suite.
  static func code(of suite: CipherSuite) -> UInt8 {
    switch suite {
    case .aes256GCM: 1
    case .chaCha20Poly1305: 2
    }
  }

  /// The suite that a byte stands for.
  static func suite(of code: UInt8) -> CipherSuite? {
    switch code {
    case 1: .aes256GCM
    case 2: .chaCha20Poly1305
    default: nil
    }
  }

  /// So many zeros behind the payload of a client's first message, so that its length does not tell
  /// what it is; a receiver ignores them. A server's answer is never the longer one.
  static func padding(random: inout SplitMix64) -> [UInt8] {
    [UInt8](repeating: 0, count: 100 + random.below(300))
  }
}
