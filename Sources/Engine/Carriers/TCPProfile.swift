// How our fake TCP looks: one coherent profile, that of a Linux kernel with
// net.ipv4.tcp_timestamps=0 (Tests/WireTests holds its captured segments).

internal import Wire

/// The constants of the profile.
enum TCPProfile {
  /// Window scale of SYN and SYN-ACK, and of every window after them.
  static let windowScale: UInt8 = 7
  /// The window that SYN and SYN-ACK advertise, unscaled, in bytes: 44 segments of 1460, or 45 of
  /// 1440.
  static func handshakeWindow(isIPv4: Bool) -> UInt16 { isIPv4 ? 64_240 : 64_800 }
  /// The window advertised once scaling holds, in bytes. Large, so that a connection tracker on
  /// the way never calls a burst INVALID.
  static let window = 4 << 20
  /// The most unacknowledged bytes in flight while data is plain; the receiver believes no sequence
  /// number further ahead than this.
  static let plainInFlightLimit = 1 << 20
  /// The same for sealed data: the whole window, since nobody else can make a frame that opens.
  static let sealedInFlightLimit = window
  /// So many received bytes are acknowledged without waiting, where windows are scaled.
  static let acknowledgmentBytes = 256 << 10

  /// What a peer can receive that sent no MSS option, in bytes (RFC 9293, section 3.7.1).
  static func defaultMSS(isIPv4: Bool) -> UInt16 { isIPv4 ? 536 : 1220 }

  /// How much of that is left to control frames, in bytes.
  static let controlReserve = 4096

  /// The option bytes of a SYN, or of a SYN-ACK to a SYN that had them all: MSS, NOP, NOP,
  /// SACK-permitted, NOP, window scale.
  static func options(mss: UInt16) -> InlineArray<12, UInt8> {
    [
      2, 4, UInt8(mss >> 8), UInt8(mss & 0xFF), 1, 1, 4, 2, 1, 3, 3, windowScale,
    ]
  }

  /// The option bytes of a SYN-ACK to a SYN without window scale: MSS alone.
  static func options(mssOnly mss: UInt16) -> InlineArray<4, UInt8> {
    [2, 4, UInt8(mss >> 8), UInt8(mss & 0xFF)]
  }
}
