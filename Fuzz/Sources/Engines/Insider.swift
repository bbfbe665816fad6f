// Somebody who has the key and says what no client would: what is sealed is believed to be whole, not
// to make sense.

import Crypto
import Samples
import Wire

@testable import Engine

/// A client's side of one connection, by its own rules.
final class Insider {
  private let suite: CipherSuite
  /// What its Hello says of sealed frames.
  private var flags: HelloFlags = []
  private var exchange: NoiseHandshake?
  private var cipher: (suite: CipherSuite, key: SecretKey)?

  init(_ suite: CipherSuite) { self.suite = suite }

  /// Whether it can seal frames.
  var isReady: Bool { cipher != nil }

  /// The record of a first message with any payload.
  func firstMessage(_ payload: [UInt8], key: SecretKey, hint period: HintPeriod) -> [UInt8] {
    let keys = HandshakeKeys(key)
    let preamble = octets(period.hint(keys)) + [FirstMessage.code(of: suite)]
    var exchange = NoiseHandshake(
      .initiator, suite: suite,
      prologue: FirstMessage.prologue(preamble: preamble.rawSpan).rawSpan,
      preSharedKey: keys.exchange)
    let message = exchange.writeMessage(
      ephemeral: SecretKey { $0.set(7 as UInt8, at: 0) }, payload: payload.rawSpan)
    self.exchange = consume exchange
    flags = Hello(parsing: payload.rawSpan)?.flags ?? []
    return HandshakeRecord.bytes(containing: preamble + (message ?? []))
  }

  /// Takes the server's answer.
  func read(_ content: RawSpan) {
    guard var exchange = exchange.take(), let payload = exchange.readMessage(content) else {
      return
    }
    let keys = exchange.split()
    guard let hello = Hello(parsing: payload.rawSpan),
      case .sealed(let suite) = CipherAgreement(flags, hello.flags)
    else { return }
    cipher = (suite, keys.clientToServer)
  }

  /// A sealed frame of any type and number; nothing where there is no key yet. A cipher of its own
  /// does not mind that a number comes again.
  func frame(_ type: UInt8, flow: UInt16, number: UInt64, payload: [UInt8]) -> [UInt8] {
    guard let cipher else { return [] }
    var seal = AEAD(cipher.suite, key: cipher.key, for: .sealing)
    let length = UInt16(truncatingIfNeeded: SealedFrame.overhead - 5 + payload.count)
    let clear =
      [SealedFrame.type, 3, 3] + octets(length) + octets(UInt32(truncatingIfNeeded: number))
    var sealed = [type] + octets(flow) + payload
    var tag = [UInt8](repeating: 0, count: SealedFrame.tagByteCount)
    seal.begin(number)
    sealed.withMutableRawSpan { seal.process(&$0) }
    tag.withMutableRawSpan { seal.finish(tag: &$0) }
    return clear + sealed + tag
  }
}
