// The messages of the key exchange, for either side, made anew or changed on their way.

import Crypto
import Samples
import Wire

@testable import Engine

extension FuzzTarget {
  static let noise = FuzzTarget(name: "noise") { input in
    var script = Script(input)
    let choice = script.byte()
    var exchange = Exchange(choice & 1 == 0 ? .aes256GCM : .chaCha20Poly1305)
    let first = exchange.first(script.take(script.size()))
    let arrived = choice & 2 == 0 ? first : script.changed(first)
    let isRead = exchange.reads(arrived)
    require(isRead == (arrived == first), "a first message is the initiator's, or nothing")
    guard isRead else { return }
    let second = exchange.second(script.take(script.size()))
    let answer = choice & 4 == 0 ? second : script.changed(second)
    require(
      exchange.finishes(answer) == (answer == second), "a second message is the responder's")
  } seeds: {
    [
      "aes-gcm": [0, 3, 1, 2, 3, 2, 4, 5], "chacha20": [1, 3, 1, 2, 3, 2, 4, 5], "empty": [0],
      "first-changed": [2, 3, 1, 2, 3, 0, 1, 7, 0xFF], "first-cut": [2, 3, 1, 2, 3, 1, 9],
      "second-changed": [4, 3, 1, 2, 3, 2, 4, 5, 0, 1, 40, 1],
      "all-new": [2, 0, 2, 48] + [UInt8](repeating: 1, count: 48),
      // A public key that makes no secret.
      "zeros": [6, 0, 2, 48] + [UInt8](repeating: 0, count: 48),
    ]
  }
}

/// Both sides of a key exchange.
private struct Exchange: ~Copyable {
  private var initiator: NoiseHandshake
  private var responder: NoiseHandshake

  init(_ suite: CipherSuite) {
    let key = SecretKey { $0.set(1 as UInt8, at: 0) }
    let prologue: [UInt8] = [1, 2, 3]
    initiator = NoiseHandshake(
      .initiator, suite: suite, prologue: prologue.rawSpan, preSharedKey: key)
    responder = NoiseHandshake(
      .responder, suite: suite, prologue: prologue.rawSpan, preSharedKey: key)
  }

  mutating func first(_ payload: [UInt8]) -> [UInt8] {
    let secret = SecretKey { $0.set(2 as UInt8, at: 0) }
    return initiator.writeMessage(ephemeral: secret, payload: payload.rawSpan) ?? []
  }

  /// Whether the responder takes a first message.
  mutating func reads(_ message: [UInt8]) -> Bool {
    responder.readMessage(message.rawSpan) != nil
  }

  mutating func second(_ payload: [UInt8]) -> [UInt8] {
    let secret = SecretKey { $0.set(3 as UInt8, at: 0) }
    return responder.writeMessage(ephemeral: secret, payload: payload.rawSpan) ?? []
  }

  /// Whether the initiator takes a second message.
  mutating func finishes(_ message: [UInt8]) -> Bool {
    initiator.readMessage(message.rawSpan) != nil
  }
}

extension Script {
  /// The message with another byte, cut short, or another one in its place.
  fileprivate mutating func changed(_ message: [UInt8]) -> [UInt8] {
    var changed = message
    switch byte() % 3 {
    case 0:
      for _ in 0..<choice(of: 4) {
        let place = size()
        if changed.indices.contains(place) { changed[place] = byte() }
      }
    case 1: changed.removeLast(min(size(), changed.count))
    default: changed = take(size())
    }
    return changed
  }
}
