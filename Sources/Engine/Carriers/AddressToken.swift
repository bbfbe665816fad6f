// What shows a server that a client is where it says, before anything is kept of it.

internal import Wire

/// Makes and checks the tokens of a server.
struct AddressToken: Sendable {
  private let key: SipHashKey

  init(key: SipHashKey) { self.key = key }

  /// The token for a channel at these addresses.
  func make(for tuple: FourTuple, channel: UInt32, at now: Instant) -> UInt64 {
    encode(tuple, channel, slot: Self.slot(at: now))
  }

  /// Whether a token was made for this channel at these addresses not long ago: a slot lasts as long as
  /// a cookie's, and the previous one is valid as well.
  func isValid(_ token: UInt64, for tuple: FourTuple, channel: UInt32, at now: Instant) -> Bool {
    let slot = Self.slot(at: now)
    return token == encode(tuple, channel, slot: slot)
      || token == encode(tuple, channel, slot: slot &- 1)
  }

  private static func slot(at now: Instant) -> UInt64 {
    UInt64(bitPattern: now.nanoseconds / SYNCookie.slotLength.wholeNanoseconds)
  }

  private func encode(_ tuple: FourTuple, _ channel: UInt32, slot: UInt64) -> UInt64 {
    // One word more than a SYN cookie, so no cookie tells of a token.
    sipHash(
      of: tuple,
      [
        UInt64(tuple.local.port) << 16 | UInt64(tuple.remote.port), UInt64(channel), slot,
        0x746F_6B65_6E,
      ], key: key)
  }
}
