// The server's initial sequence number is all it keeps of a SYN (RFC 4987, section 3.6).
//
//   | time slot 2 | MSS class 4 | keyed hash 26 |

internal import Wire

/// Makes and checks SYN cookies.
struct SYNCookie: Sendable {
  /// How long a slot lasts. The current and the previous one are valid: 64-128 s.
  static let slotLength = Duration.seconds(64)
  /// The MSS that a class stands for, ascending: common values on real paths. The largest one
  /// that is not above the SYN's is taken.
  static let classes: InlineArray<16, UInt16> = [
    536, 1200, 1220, 1240, 1280, 1300, 1320, 1340, 1360, 1380, 1400, 1412, 1432, 1452, 1460, 8960,
  ]
  /// The same for IPv6, whose header is 20 bytes longer.
  static let classesOfIPv6: InlineArray<16, UInt16> = [
    536, 1200, 1220, 1240, 1260, 1280, 1300, 1320, 1340, 1360, 1380, 1392, 1412, 1432, 1440, 8940,
  ]
  private static let hashMask: UInt32 = 0x03FF_FFFF

  private let key: SipHashKey

  init(key: SipHashKey) { self.key = key }

  /// The initial sequence number that answers a SYN.
  func make(for tuple: FourTuple, clientISN: UInt32, mss: UInt16, at now: Instant) -> UInt32 {
    encode(tuple, clientISN, slot: Self.slot(at: now), mssClass: Self.mssClass(of: mss, tuple))
  }

  /// The MSS in the cookie, where it is one that we made for this connection not long ago.
  func validate(
    _ cookie: UInt32, for tuple: FourTuple, clientISN: UInt32, at now: Instant
  ) -> UInt16? {
    let slot = Self.slot(at: now)
    let mssClass = Int(cookie >> 26 & 15)
    guard
      encode(tuple, clientISN, slot: slot, mssClass: mssClass) == cookie
        || encode(tuple, clientISN, slot: slot &- 1, mssClass: mssClass) == cookie
    else { return nil }
    return tuple.isIPv4 ? Self.classes[mssClass] : Self.classesOfIPv6[mssClass]
  }

  private static func slot(at now: Instant) -> UInt64 {
    UInt64(bitPattern: now.nanoseconds / slotLength.wholeNanoseconds)
  }

  private static func mssClass(of mss: UInt16, _ tuple: FourTuple) -> Int {
    let classes = tuple.isIPv4 ? classes : classesOfIPv6
    var found = 0
    for index in 0..<classes.count where classes[index] <= mss { found = index }
    return found
  }

  private func encode(
    _ tuple: FourTuple, _ clientISN: UInt32, slot: UInt64, mssClass: Int
  ) -> UInt32 {
    // The whole slot number is hashed, so that a cookie does not come alive again after four.
    let hash = UInt32(
      truncatingIfNeeded: sipHash(
        of: tuple,
        [
          UInt64(tuple.local.port) << 48 | UInt64(tuple.remote.port) << 32 | UInt64(clientISN),
          slot,
          UInt64(mssClass),
        ], key: key))
    return UInt32(slot & 3) << 30 | UInt32(mssClass) << 26 | hash & Self.hashMask
  }
}

/// The client's initial sequence number (RFC 6528): a clock of 4 µs ticks plus a keyed hash.
func initialSequence(for tuple: FourTuple, key: SipHashKey, at now: Instant) -> UInt32 {
  let hash = sipHash(
    of: tuple, [UInt64(tuple.local.port) << 16 | UInt64(tuple.remote.port)], key: key)
  let ticks = UInt32(truncatingIfNeeded: now.nanoseconds / 4_000)
  return ticks &+ UInt32(truncatingIfNeeded: hash)
}

/// The flow label of a connection's packets: a keyed hash, as a kernel's is (RFC 6437, section 3), so
/// that nothing has to be kept for a SYN-ACK to have that of the segments behind it.
func flowLabel(for tuple: FourTuple, key: SipHashKey) -> UInt32 {
  guard !tuple.isIPv4 else { return 0 }
  let ports = UInt64(tuple.local.port) << 16 | UInt64(tuple.remote.port)
  // Of a length that no other hash of addresses has.
  let hash = sipHash(of: tuple, [ports, 0], key: key)
  return UInt32(truncatingIfNeeded: hash) & 0xF_FFFF
}

/// The hash of the addresses of a four-tuple, which are one word (IPv4) or four, and of the words
/// behind them.
func sipHash<let count: Int>(
  of tuple: FourTuple, _ rest: InlineArray<count, UInt64>, key: SipHashKey
) -> UInt64 {
  let (local, remote) = (tuple.local.address, tuple.remote.address)
  var words = InlineArray<8, UInt64>(repeating: 0)
  var used = 4
  if tuple.isIPv4 {
    words[0] = UInt64(local.ipv4) << 32 | UInt64(remote.ipv4)
    used = 1
  } else {
    (words[0], words[1]) = (local.high, local.low)
    (words[2], words[3]) = (remote.high, remote.low)
  }
  for index in 0..<count {
    words[used] = rest[index]
    used += 1
  }
  return sipHash(words.span.extracting(..<used).octets, key: key)
}
