import Crypto
import Samples

/// The published vectors of both protocols (cacophony's, as kept in mcginty/snow,
/// tests/vectors/cacophony.txt). Both sides have the same prologue and pre-shared key.
struct NoiseVector: Sendable {
  /// The first two are those of the handshake, the initiator's first; the others follow it, in turns.
  struct Message: Sendable {
    let payload: String
    let ciphertext: String
  }

  let suite: CipherSuite
  let handshakeHash: String
  let messages: [Message]

  static let prologue = bytes(hex: "4a6f686e2047616c74")
  static let preSharedKey = "54686973206973206d7920417573747269616e20706572737065637469766521"
  static let initiatorEphemeral = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"
  static let responderEphemeral = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"

  static let all = [
    NoiseVector(
      suite: .aes256GCM,
      handshakeHash: "9f3b1f9afd7767767b5b9d1069844a6154fdbdcc36dfb3e31c0fffc5c973d530",
      messages: [
        Message(
          payload: "4c756477696720766f6e204d69736573",
          ciphertext: """
            ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944
            7c37a89fc17813788d30df2d59501d6066f5f8aecc3406bbd9829f2d24a531b1
            """),
        Message(
          payload: "4d757272617920526f746862617264",
          ciphertext: """
            95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843
            2f29d79368ef9de4e1ae7a362fb05bf0ad668e026bf5714554497b3a720461
            """),
        Message(
          payload: "462e20412e20486179656b",
          ciphertext: "7c01e898a6201f36aecee532e29cd0b7f8ffa29d3366ad0dce39a6"),
        Message(
          payload: "4361726c204d656e676572",
          ciphertext: "a9ff535aace3db6a1da1a7fb00fe2de2622bb373abad9fb42c00e0"),
        Message(
          payload: "4a65616e2d426170746973746520536179",
          ciphertext: """
            6cfc49a3e65472edc2d0152abe5ce950170a8a47c959f30bd48b5f0aacf29adb
            fd
            """),
        Message(
          payload: "457567656e2042f6686d20766f6e2042617765726b",
          ciphertext: """
            9bc86e6d974ed21ba04604a94aa68de21677eb409ead070c0cd569b069ee19ba
            142aa4c1a9
            """),
      ]),
    NoiseVector(
      suite: .chaCha20Poly1305,
      handshakeHash: "f4d03dc34495c95729ea6de9e1b59004b59733102488b3e24bc441e0be208eaf",
      messages: [
        Message(
          payload: "4c756477696720766f6e204d69736573",
          ciphertext: """
            ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944
            79b962b8aff8485742ac32f905ba45369e2465fb59e138a93d67a0d1266b6a54
            """),
        Message(
          payload: "4d757272617920526f746862617264",
          ciphertext: """
            95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843
            d6062704d5a9c422a8e834423f8c1feada7e8d0d910a1a2cd030fb584221e3
            """),
        Message(
          payload: "462e20412e20486179656b",
          ciphertext: "e632c3763d7669067383433197a3baddf146e9e70ad4b4e9e59e0f"),
        Message(
          payload: "4361726c204d656e676572",
          ciphertext: "64c6bee32ea91c8474bb4c21d7a700109ad45af77b29764ba5eb1e"),
        Message(
          payload: "4a65616e2d426170746973746520536179",
          ciphertext: """
            e2fa0bed0603b62d3ccac2ecabbf3fe33f3e86514909b323361626266cb2471c
            c8
            """),
        Message(
          payload: "457567656e2042f6686d20766f6e2042617765726b",
          ciphertext: """
            0c01dc9cec1fe4ddd692e8dd32188aa351088dc91183639a53b57aa4692b5ebd
            ef8b8ca111
            """),
      ]),
  ]
}
