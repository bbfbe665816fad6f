// What happened, as numbers. A bad packet costs a counter, never a log line.

/// Why something was dropped.
public enum DropReason: Int, CaseIterable, Sendable {
  /// Not a whole IPv4 packet with a whole TCP segment, or no segment or message of a channel on UDP.
  case malformed
  /// The TCP checksum is wrong.
  case badChecksum
  /// No channel has this four-tuple, or this number.
  case unknownChannel
  /// Sequence or acknowledgment number outside of what the channel can have sent or seen.
  case outsideWindow
  /// A frame reaches beyond its segment: cut by a middlebox, or garbage.
  case truncatedFrame
  /// The frame's number was seen before or is too old.
  case repeatedFrame
  /// A report of more than was sent, or of less than an earlier one had.
  case badReport
  /// A copy, or a piece of one, of a datagram that was sent on two channels and has been delivered.
  case secondCopy
  /// A frame of a type that this version does not know.
  case unknownFrame
  /// A first payload that is no Hello with a valid cookie, or one that the other side's does not
  /// agree with: its version, its cipher.
  case badHello
  /// A first message whose hint no key has.
  case unknownKey
  /// A first message that was not made with the key that its hint names, or an answer to one.
  case badHandshake
  /// A first message that was accepted before.
  case repeatedHandshake
  /// A first message that may be an old one: its clock is wrong, and its cookie another one's.
  case staleHandshake
  /// A frame that was not sealed with the channel's key, or changed since.
  case badSeal
  /// An ICMP message about a segment that is not in flight.
  case foreignTooBig
  /// An RST or FIN that the peer did not send as part of a close; on UDP, word that nothing listens there,
  /// or that the server does not know the channel.
  case foreignReset
  /// A datagram of a flow that this client never opened, or released.
  case unknownFlow
  /// The datagram has more than 65,507 bytes, or more than 256 pieces of what a segment can carry.
  case tooLarge
  /// A fragment that no sender makes, or that does not fit the others of its datagram.
  case badFragment
  /// A datagram of which a piece did not come in time.
  case incompleteDatagram
  /// More datagrams in pieces than there is room for; the oldest makes room.
  case fragmentLimit
  /// No channel is up, and none can be waited for.
  case noChannel
  /// Every channel's window is full.
  case windowFull
  /// A server has as many sessions as it may have, or as one key may have.
  case sessionLimit
  /// A server has as many channels as it may have, or a session has; the oldest one makes room.
  case channelLimit
  /// There are as many flows as there may be.
  case flowLimit
  /// Clients open more channels than a server takes in a second, or confirm too few.
  case handshakeLimit
  /// Strangers are shown the decoy already, as many as may be at once or in a second.
  case strangerLimit
  /// Datagrams that waited too long before the first channel was up.
  case heldTooLong
  /// Datagrams that were too many before the first channel was up.
  case queueLimit
  /// More frames in one batch than it has room for.
  case batchFull
  /// An answer to a stranger that the rate limit forbade.
  case rateLimited
}

/// The engine's counters since it started.
public struct Counters: Sendable {
  /// Datagrams taken from apps or targets and put on a channel.
  public internal(set) var datagramsSent: UInt64 = 0
  /// Datagrams that came out of channels.
  public internal(set) var datagramsReceived: UInt64 = 0
  /// Channels that opened.
  public internal(set) var channelsOpened: UInt64 = 0
  /// Server: how often a channel on UDP went on behind another address.
  public internal(set) var channelsMoved: UInt64 = 0
  private var drops: InlineArray<33, UInt64> = .init(repeating: 0)

  init() {
    precondition(DropReason.allCases.count == drops.count)
  }

  /// How often something was dropped for `reason`.
  public subscript(reason: DropReason) -> UInt64 { drops[reason.rawValue] }

  mutating func drop(_ reason: DropReason) { drops[reason.rawValue] &+= 1 }
}
