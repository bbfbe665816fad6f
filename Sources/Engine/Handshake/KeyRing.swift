// A server's keys, and how it finds the one that a first message was made with.
//
// A first message starts with a hint: HMAC(key, hour), or HMAC(key, "no clock") from a client that
// does not know the hour. So an unknown key costs one look-up, however many keys there are.

internal import Crypto
internal import Wire

/// What a first message's hint is made for.
enum HintPeriod: Hashable, Sendable {
  /// The hour since 1970.
  case hour(UInt64)
  /// The client does not know the time.
  case noClock

  /// The hour that `milliseconds` since 1970 are in.
  static func containing(milliseconds: UInt64) -> HintPeriod { .hour(milliseconds / 3_600_000) }

  /// The hint for this period.
  func hint(_ keys: HandshakeKeys) -> UInt32 {
    // No hour is this one.
    let number: InlineArray<1, UInt64> =
      switch self {
      case .hour(let hour): [hour.bigEndian]
      case .noClock: [.max]
      }
    return hmacSHA256(number.span.octets, key: keys.hint).bytes.be32(at: 0)
  }
}

/// The keys of a server, by hint.
struct KeyRing {
  /// A key that a hint stands for.
  struct Match {
    let name: String
    /// The pre-shared key of the key exchange.
    let key: SecretKey
    /// Whether the hint says that the client has no clock.
    let lacksClock: Bool
  }

  private let byName: [String: SecretKey]
  private let handshakeKeys: [(name: String, keys: HandshakeKeys)]
  /// What RSTs are made believable with: the same after a restart with the same keys.
  private let resetKey: SecretKey
  private var hour: UInt64?
  private var byHint: [UInt32: [Match]] = [:]

  init(_ keys: [NamedKey]) {
    byName = Dictionary(keys.map { ($0.name, $0.key) }) { first, _ in first }
    handshakeKeys = byName.map { ($0.key, HandshakeKeys($0.value)) }
    resetKey = Self.resetKey(of: keys)
  }

  var isEmpty: Bool { byName.isEmpty }

  /// Whether there is more than one key, so that none may take all there is.
  var isShared: Bool { byName.count > 1 }

  /// Whether the ring has just this key under this name.
  func contains(_ named: NamedKey) -> Bool { byName[named.name] == named.key }

  private static func resetKey(of keys: [NamedKey]) -> SecretKey {
    let label = Array("rsock reset".utf8)
    var secret = SecretKey(copying: sha256(label.span.octets).bytes)
    for named in keys.sorted(by: { $0.name < $1.name }) {
      secret = secret.derivePair(mixing: named.key.bytes).0
    }
    return secret
  }

  /// The keys that `hint` may stand for at `milliseconds` since 1970: mostly none or one.
  mutating func matches(_ hint: UInt32, at milliseconds: UInt64) -> [Match] {
    let now = milliseconds / 3_600_000
    if now != hour { rebuild(at: now) }
    return byHint[hint] ?? []
  }

  private mutating func rebuild(at now: UInt64) {
    hour = now
    byHint.removeAll(keepingCapacity: true)
    // The neighbouring hours, for clocks that are not quite right.
    let periods: [HintPeriod] = [
      .hour(now), .hour(now &- 1), .hour(now &+ 1), .noClock,
    ]
    for (name, keys) in handshakeKeys {
      for period in periods {
        byHint[period.hint(keys), default: []].append(
          Match(name: name, key: keys.exchange, lacksClock: period == .noClock))
      }
    }
  }

  /// What an RST for this connection carries, seen from the server: its address and port, then the
  /// client's; in 16 bytes for IPv4, in 36 for IPv6.
  func resetToken(for tuple: FourTuple) -> ResetToken {
    var bytes = InlineArray<36, UInt8>(repeating: 0)
    let size = tuple.isIPv4 ? 8 : 18
    Self.put(tuple.local, at: 0, isIPv4: tuple.isIPv4, into: &bytes)
    Self.put(tuple.remote, at: size, isIPv4: tuple.isIPv4, into: &bytes)
    let digest = hmacSHA256(bytes.span.extracting(..<(2 * size)).octets, key: resetKey)
    return ResetToken(high: digest.bytes.be64(at: 0), low: digest.bytes.be64(at: 8))
  }

  private static func put(
    _ end: Endpoint, at offset: Int, isIPv4: Bool, into bytes: inout InlineArray<36, UInt8>
  ) {
    var span = bytes.mutableSpan
    var octets = span.mutableOctets
    if isIPv4 {
      octets.set(UInt64(end.address.ipv4) << 16 | UInt64(end.port), at: offset)
    } else {
      octets.set(end.address.high, at: offset)
      octets.set(end.address.low, at: offset + 8)
      octets.set(end.port, at: offset + 16)
    }
  }
}
