// What both sides tell each other first on a channel (docs/protocol.md): bare in its record without a
// key, the payload of the key exchange with one.
//
//    version 1 | scale 1 | MSS 2 | segment size 2 | budget 1 | flags 1 | channel 4 | session 16
//    with a key, behind it:  time 8 | cookie 4 | reset token 16

/// Names a session: chosen at random by the client, the same on all of its channels.
public struct SessionID: Hashable, Sendable {
  /// The first 8 bytes as a big-endian number.
  public var high: UInt64
  /// The last 8 bytes as a big-endian number.
  public var low: UInt64

  /// An identifier from its two halves.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
}

extension SessionID: CustomStringConvertible {
  /// The first half in hexadecimal: enough to tell sessions apart in a log.
  public var description: String {
    let digits = String(high, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// What the sender can do with sealed frames; 0 without a key.
public struct HelloFlags: OptionSet, Hashable, Sendable {
  /// The bits as on the wire.
  public let rawValue: UInt8

  /// Flags from the bits.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Its processor has instructions for AES.
  public static let hasFastAES = HelloFlags(rawValue: 1)
  /// It takes frames that are sealed by AES-256-GCM.
  public static let aesGCM = HelloFlags(rawValue: 2)
  /// It takes frames that are sealed by ChaCha20-Poly1305.
  public static let chaCha20 = HelloFlags(rawValue: 4)
  /// It takes plain frames.
  public static let plain = HelloFlags(rawValue: 8)
}

/// What each side tells the other when a channel opens.
public struct Hello: Hashable, Sendable {
  /// The version of the protocol that this code speaks.
  public static let currentVersion: UInt8 = 1
  /// Its size in bytes.
  public static let byteCount = 28
  private static let noScale: UInt8 = 0xFF

  /// The protocol version of the sender.
  public var version: UInt8 = currentVersion
  /// The options of the other side's SYN or SYN-ACK as they arrived here, so that both ends know
  /// what a middlebox made of them.
  public var observed: TCPOptions
  /// The largest TCP payload, in bytes, that the sender's own interface can carry.
  public var segmentSize: UInt16
  /// Client: what the channel is to carry before another one takes its place.
  public var budget = ByteBudget.none
  /// What the sender can do with sealed frames.
  public var flags: HelloFlags = []
  /// The channel's name within its session, chosen by the client and repeated by the server.
  public var channel: UInt32
  /// The session that the channel belongs to.
  public var session: SessionID

  /// A Hello of the current version.
  public init(observed: TCPOptions, segmentSize: UInt16, channel: UInt32, session: SessionID) {
    self.observed = observed
    self.segmentSize = segmentSize
    self.channel = channel
    self.session = session
  }

  /// Reads a Hello. Bytes behind the fields known here are ignored, so that a later version can add
  /// some. Nil where it is no Hello at all.
  public init?(parsing bytes: RawSpan) {
    guard bytes.byteCount >= Self.byteCount else { return nil }
    let scale = bytes.byte(at: 1)
    let mss = bytes.be16(at: 2)
    guard scale <= 14 || scale == Self.noScale else { return nil }
    version = bytes.byte(at: 0)
    observed = TCPOptions(
      maximumSegmentSize: mss == 0 ? nil : mss, windowScale: scale == Self.noScale ? nil : scale)
    segmentSize = bytes.be16(at: 4)
    budget = ByteBudget(code: bytes.byte(at: 6))
    flags = HelloFlags(rawValue: bytes.byte(at: 7))
    channel = bytes.be32(at: 8)
    session = SessionID(high: bytes.be64(at: 12), low: bytes.be64(at: 20))
  }

  /// Its bytes on the wire.
  public var bytes: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.byteCount)
    var words = bytes.mutableSpan
    var span = words.mutableOctets
    span.set(version, at: 0)
    span.set(observed.windowScale ?? Self.noScale, at: 1)
    span.set(observed.maximumSegmentSize ?? 0, at: 2)
    span.set(segmentSize, at: 4)
    span.set(budget.code, at: 6)
    span.set(flags.rawValue, at: 7)
    span.set(channel, at: 8)
    span.set(session.high, at: 12)
    span.set(session.low, at: 20)
    return bytes
  }
}

/// What a server's RST carries to be believed at once: the client was given it under the key.
public struct ResetToken: Hashable, Sendable {
  /// Its size in bytes.
  public static let byteCount = 16
  /// The first 8 bytes as a big-endian number.
  public var high: UInt64
  /// The last 8 bytes as a big-endian number.
  public var low: UInt64

  /// A token from its two halves.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Reads the token at `offset`; nil where fewer than 16 bytes are left.
  public init?(parsing bytes: RawSpan, at offset: Int) {
    guard offset >= 0, offset <= bytes.byteCount &- Self.byteCount else { return nil }
    high = bytes.be64(at: offset)
    low = bytes.be64(at: offset &+ 8)
  }

  /// Its bytes on the wire.
  public var bytes: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.byteCount)
    var words = bytes.mutableSpan
    var span = words.mutableOctets
    span.set(high, at: 0)
    span.set(low, at: 8)
    return bytes
  }
}

/// What follows a Hello where there is a key.
public struct HelloSupplement: Hashable, Sendable {
  /// Its size in bytes.
  public static let byteCount = 12 + ResetToken.byteCount

  /// The sender's clock, in milliseconds since 1970.
  public var time: UInt64
  /// Client: the server's initial sequence number as it arrived, which shows that the Hello is not an
  /// old one. Server: 0.
  public var cookie: UInt32
  /// Server: what an RST of its own for this four-tuple will carry. Client: zeros.
  public var resetToken: ResetToken

  /// A supplement from its fields.
  public init(
    time: UInt64, cookie: UInt32 = 0, resetToken: ResetToken = ResetToken(high: 0, low: 0)
  ) {
    self.time = time
    self.cookie = cookie
    self.resetToken = resetToken
  }

  /// Reads what is behind the Hello in `bytes`; nil where that is too short.
  public init?(parsingBehindHello bytes: RawSpan) {
    guard bytes.byteCount >= Hello.byteCount &+ Self.byteCount,
      let resetToken = ResetToken(parsing: bytes, at: Hello.byteCount &+ 12)
    else { return nil }
    time = bytes.be64(at: Hello.byteCount)
    cookie = bytes.be32(at: Hello.byteCount &+ 8)
    self.resetToken = resetToken
  }

  /// Its bytes on the wire.
  public var bytes: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 12)
    var words = bytes.mutableSpan
    var span = words.mutableOctets
    span.set(time, at: 0)
    span.set(cookie, at: 8)
    return bytes + resetToken.bytes
  }
}
