import Crypto
import Samples
import Testing
import Wire

@testable import Engine

/// The example of docs/protocol.md, which was computed by another program from that text alone.
enum ProtocolExample {
  static let sharedKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
  static let exchangeKey = "5f486020aa5838ef77a69b5eedd24087fc088dfcffb67b9cc6cd451830728a7e"
  static let hintKey = "cbf48a6a812ef24bae270d20285dd1af9f7a90f72514a81fbc8e61fdf4990b15"
  static let hour: UInt64 = 497_222
  static let hourHint: UInt32 = 0x31CC_5FD6
  static let noClockHint: UInt32 = 0xD17E_1AAD
  static let clientEphemeral = "1f05404e9dea44e8904b4e1a8236deb46ccb5e636c2abfafc24cd69fa1f91306"
  static let serverEphemeral = "5d280fab1e7e04cc553fc3c28ca00e371d10f9fba073cff0cdd48eed4c70fb4c"
  static let cookie: UInt32 = 0xF9A9_2F19
  static let resetToken = "5c21e0220fdffdd8535e4b4857d175f8"
  static let clientToServer = "6e0e00909531b06f4af545bdafb859cfa8dc467953268ff662da7cf4db2cc529"
  static let serverToClient = "0e1b601f353772d363177f04f090f5af27517670af19dd1b366af75edc69349d"

  static let first = """
    16030100d131cc5fd60117722e81a9dc5973f9f0210c5f6e4b57433e80857b5f
    33d83f0f2f7c38c84122abe71620547266e8b3b2c30d8f37b07c94dd047900c6
    1147fe077f79b256bd6f955f975e7ee015d673eb9f2a7d3181adfb49d57b342e
    1cc608f771ea12c2e90c89313fff10a6cb5a65694483bd21c60adbd98be876cf
    bbc3da06c9b1bc849af62cffcfa0707c35cff3f0e0579570f85b1ec087032ae8
    4d756b2e16f8f0183c735346a6c42fbe003c40742eff580296208af7ae1f7671
    77499b9a2a1ec841a6eb4ccec8868417cebcba5f06dd
    """
  static let second = """
    160301006806b38a246d30b9f0e7550b844b355692b48c0218badbc8ba0dae64
    1bfd33787b11c00f852c8bf90cfce941b0917953ba0f2b02661073819b656d0e
    42cedd5d09950306676fdeda7ddb8c2ac0ab36d221c8c5028a1c7dce1c3c68d8
    fd64edda28445e154a4c33bb5a
    """
  /// What the server answers where its processor has no instructions for AES.
  static let secondWithoutAES = """
    160301006806b38a246d30b9f0e7550b844b355692b48c0218badbc8ba0dae64
    1bfd33787b11c00f852c8bf90dfce941b0917953ba0f2b02661073819b656d0e
    42cedd5d09950306676fdeda7ddb8c2ac0ab36d221c8c5028a1c7dce1ca73ac9
    82ae375183d203db1997c4744f
    """

  /// Both messages where it is the client's processor that has none.
  static let firstByChaCha = """
    16030100d131cc5fd60217722e81a9dc5973f9f0210c5f6e4b57433e80857b5f
    33d83f0f2f7c38c84122b798cf798a35487cb65f97dd2b01ba47fe3dd4394fc2
    bede0ec98f885ad2e5d819dc833940fe1f1c33e55fc51389a6732b8512feeb2a
    33698dfea5f67943ca4e6068abb2083806d2fb1033cea52e346aa5507e48a28b
    cc337e86749dc5c9b43e2bf39ae8c6ed2e9d0b96be92035477828768cf1b4257
    8dd23a7dc0d56c376fd3523b3b9bff391c21bb5b37354a4c23d07daf792ffdb3
    60911436240ceccb7ecb52fc102e4e269282a17bee6b
    """
  static let secondByChaCha = """
    160301006806b38a246d30b9f0e7550b844b355692b48c0218badbc8ba0dae64
    1bfd33787b20e4ecc5db35a032b90bd4e7af6593e532f5f8c72f28864b8ae650
    68f58b90046afa17f116dd4f557e7c297ca40b6a634d9a6158956cbc7d7bc906
    d460e66c8e13a5913e03d6be3a
    """

  static func key(_ hex: String) -> SecretKey { SecretKey(copying: bytes(hex: hex).rawSpan) }

  static let setup: HandshakePair.Setup = {
    var setup = HandshakePair.Setup()
    setup.clientKey = NamedKey(name: "key", key: key(sharedKey))
    setup.serverKeys = [setup.clientKey]
    // Pads with 100 zeros.
    setup.clientSeed = 346
    return setup
  }()
}

@Suite struct HandshakeGoldenTests {
  private typealias Example = ProtocolExample

  @Test("The keys that a shared key stands for, and its hints")
  func derivedKeys() {
    let keys = HandshakeKeys(Example.key(Example.sharedKey))
    #expect(keys.exchange == Example.key(Example.exchangeKey))
    #expect(keys.hint == Example.key(Example.hintKey))
    #expect(HintPeriod.containing(milliseconds: HandshakePair.time) == .hour(Example.hour))
    #expect(HintPeriod.hour(Example.hour).hint(keys) == Example.hourHint)
    #expect(HintPeriod.noClock.hint(keys) == Example.noClockHint)
  }

  @Test func ephemeralKeysAreTheExamples() {
    for (seed, key) in [(0x11, Example.clientEphemeral), (0x22, Example.serverEphemeral)] {
      var stream = KeyStream(seed: HandshakePair.uniform(UInt8(seed)))
      let ephemeral = stream.nextKey()
      #expect(ephemeral == Example.key(key))
    }
  }

  @Test("Both first messages, byte for byte, and a channel at both ends")
  func firstMessages() throws {
    var pair = HandshakePair(Example.setup)
    let (synAck, message) = pair.exchangeSYNs()
    #expect(synAck.tcpSequence == Example.cookie)
    #expect(message.tcpPayload == bytes(hex: Example.first))
    let answers = pair.serverReceives(message)
    #expect(answers.map(\.tcpPayload) == [bytes(hex: Example.second)])
    let waiting = pair.channelsOpened
    #expect(waiting.server == 0, "nobody has confirmed it")
    let probes = pair.clientReceives(try #require(answers.first))
    _ = pair.serverReceives(try #require(probes.first))
    let opened = pair.channelsOpened
    #expect(opened.client == 1 && opened.server == 1)
  }

  @Test("A server without AES answers otherwise, and the keys are the same")
  func withoutAES() throws {
    var setup = Example.setup
    setup.serverHasFastAES = false
    var pair = HandshakePair(setup)
    let message = pair.exchangeSYNs().message
    #expect(message.tcpPayload == bytes(hex: Example.first))
    let answers = pair.serverReceives(message)
    #expect(answers.map(\.tcpPayload) == [bytes(hex: Example.secondWithoutAES)])
    let probes = pair.clientReceives(try #require(answers.first))
    var server = FrameCipher(
      .chaCha20Poly1305,
      keys: ChannelKeys(
        sealing: Example.key(Example.serverToClient), opening: Example.key(Example.clientToServer)))
    var packets = PacketBatch(capacity: 1, slotSize: 100)
    packets.append(
      copying: try #require(probes.first).tcpPayload.rawSpan, source: Endpoint(.any, 0))
    let parsed = SealedFrame(parsing: packets[0], at: 0)
    let reason = server.open(try #require(parsed), at: 0, in: &packets)
    #expect(reason == nil)
  }

  @Test("A client without AES uses the other protocol of Noise")
  func byChaCha() {
    var setup = Example.setup
    setup.clientHasFastAES = false
    var pair = HandshakePair(setup)
    let message = pair.exchangeSYNs().message
    #expect(message.tcpPayload == bytes(hex: Example.firstByChaCha))
    let answers = pair.serverReceives(message)
    #expect(answers.map(\.tcpPayload) == [bytes(hex: Example.secondByChaCha)])
  }

  @Test("The keys of the channel, from the messages alone")
  func channelKeys() throws {
    let first = bytes(hex: Example.first)
    var responder = NoiseHandshake(
      .responder, suite: .aes256GCM,
      prologue: FirstMessage.prologue(preamble: Array(first[5..<10]).rawSpan).rawSpan,
      preSharedKey: Example.key(Example.exchangeKey))
    let read = responder.readMessage(Array(first[10...]).rawSpan)
    let payload = try #require(read)
    #expect(payload.count == 28 + 28 + 100)
    #expect(payload[56...].allSatisfy { $0 == 0 })
    let supplement = HelloSupplement(parsingBehindHello: payload.rawSpan)
    #expect(supplement == HelloSupplement(time: HandshakePair.time, cookie: Example.cookie))
    let answer = Array(payload[..<36]) + [0, 0, 0, 0] + bytes(hex: Example.resetToken)
    let second = responder.writeMessage(
      ephemeral: Example.key(Example.serverEphemeral), payload: answer.rawSpan)
    #expect(second == Array(bytes(hex: Example.second)[5...]))
    let keys = responder.split()
    #expect(keys.clientToServer == Example.key(Example.clientToServer))
    #expect(keys.serverToClient == Example.key(Example.serverToClient))
  }

  @Test("A server that knows nothing of a channel answers its frames with the token")
  func resetToken() throws {
    let tuple = FourTuple(local: HandshakePair.serverEndpoint, remote: HandshakePair.clientEndpoint)
    let token = KeyRing(Example.setup.serverKeys).resetToken(for: tuple)
    #expect(token.bytes == bytes(hex: Example.resetToken))

    var pair = HandshakePair(Example.setup)
    // The header of the first message, and a sealed frame in its place.
    var stray = Array(pair.exchangeSYNs().message.prefix(40)) + SealedFrameExample.frames[0].bytes
    (stray[2], stray[3]) = (0, UInt8(stray.count))
    let resets = pair.serverReceives(stray)
    let reset = try #require(resets.first)
    #expect(reset.tcpFlags == .rst)
    #expect(reset.tcpPayload == bytes(hex: Example.resetToken))
    // Anything else gets what a kernel would answer.
    stray[40] = 0x47
    let others = pair.serverReceives(stray)
    let other = try #require(others.first)
    #expect(other.tcpFlags == .rst)
    #expect(other.tcpPayload.isEmpty)
  }
}
