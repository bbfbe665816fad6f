// The sequence numbers of one fake TCP connection, after its handshake. Nothing is retransmitted:
// the numbers only have to be what a strict connection tracker (nf_conntrack's tcp_in_window)
// expects of a connection in good health.

internal import Wire

extension UInt32 {
  /// Signed distance in sequence space (RFC 9293, section 3.4) from `other` to this number.
  @inline(__always)
  func sequenceDistance(from other: UInt32) -> Int {
    Int(Int32(bitPattern: self &- other))
  }
}

/// Sequence state of one connection. Names as in RFC 9293, section 3.3.1.
struct TCPConnection: Sendable {
  /// SND.UNA: what the peer acknowledged.
  private(set) var sendUnacknowledged: UInt32
  /// SND.NXT: the sequence number of the next segment.
  private(set) var sendNext: UInt32
  /// The highest SND.NXT ever; acknowledgments up to here are believed.
  private(set) var sendHighest: UInt32
  /// RCV.NXT: the end of the highest valid segment received, holes or not.
  private(set) var receiveNext: UInt32
  /// The acknowledgment number that was sent last.
  private(set) var acknowledged: UInt32
  /// SND.WND in bytes.
  private(set) var peerWindow: Int
  /// The shift count of the peer's windows (RFC 7323, section 2.2); nil where neither side scales.
  private let peerScale: UInt8?
  /// The most bytes that either side has in flight.
  private let inFlightLimit: Int
  /// The IPv4 identification of the next packet.
  private(set) var identification: UInt16
  /// The sequence number of our first message, behind our SYN.
  let firstSequence: UInt32
  /// The sequence number of the peer's first message, behind its SYN; 0 before the SYN-ACK.
  let peerFirstSequence: UInt32
  /// The options of the peer's SYN or SYN-ACK as they arrived.
  let observed: TCPOptions
  /// The sequence number of the FIN segment once it was sent.
  var closeSequence: UInt32?

  /// A connection whose SYNs were exchanged.
  /// - Parameters:
  ///   - sendNext: the number behind our SYN.
  ///   - receiveNext: the number behind the peer's SYN.
  ///   - peerWindow: the peer's window, in bytes.
  ///   - peerScale: the shift count of its windows from now on; nil where neither side scales.
  ///   - isSealed: whether what it carries is sealed.
  ///   - observed: the options of the peer's SYN or SYN-ACK.
  init(
    sendNext: UInt32, receiveNext: UInt32, peerWindow: Int, peerScale: UInt8?, isSealed: Bool,
    identification: UInt16,
    observed: TCPOptions = TCPOptions(maximumSegmentSize: nil, windowScale: nil)
  ) {
    firstSequence = sendNext
    peerFirstSequence = receiveNext
    self.observed = observed
    sendUnacknowledged = sendNext
    self.sendNext = sendNext
    sendHighest = sendNext
    self.receiveNext = receiveNext
    acknowledged = receiveNext
    self.peerWindow = peerWindow
    self.peerScale = peerScale
    inFlightLimit = isSealed ? TCPProfile.sealedInFlightLimit : TCPProfile.plainInFlightLimit
    self.identification = identification
  }

  /// How many more bytes of datagrams may be in flight now; some room is left to control frames,
  /// which do not ask.
  var sendRoom: Int {
    min(peerWindow, inFlightLimit) &- TCPProfile.controlReserve
      &- sendNext.sequenceDistance(from: sendUnacknowledged)
  }

  /// Whether both sides scale their windows.
  private var isScaled: Bool { peerScale != nil }

  /// So many received bytes are acknowledged without waiting: a quarter, at most, of what may be in
  /// flight.
  var acknowledgmentBytes: Int { isScaled ? TCPProfile.acknowledgmentBytes : Int(UInt16.max) / 4 }

  /// How many received bytes no acknowledgment of ours covers yet.
  var unacknowledgedBytes: Int { receiveNext.sequenceDistance(from: acknowledged) }

  /// The window field that we send.
  private var advertisedWindow: UInt16 {
    isScaled ? UInt16(TCPProfile.window >> Int(TCPProfile.windowScale)) : .max
  }

  /// The header of the next run, or of a pure acknowledgment; the state moves on as if sent.
  mutating func nextHeader(
    _ tuple: FourTuple, flags: TCPFlags, payloadLength: Int, segmentCount: Int = 1
  ) -> (tcp: TCPHeader, identification: UInt16) {
    let header = header(tuple, flags: flags, sequence: sendNext)
    sendNext &+= UInt32(truncatingIfNeeded: payloadLength)
    if flags.contains(.fin) { sendNext &+= 1 }
    if sendNext.sequenceDistance(from: sendHighest) > 0 { sendHighest = sendNext }
    return (header, takeIdentification(segmentCount))
  }

  /// The header of a segment that is sent again with the sequence number that it had.
  mutating func repeatedHeader(
    _ tuple: FourTuple, flags: TCPFlags, sequence: UInt32
  ) -> (tcp: TCPHeader, identification: UInt16) {
    (header(tuple, flags: flags, sequence: sequence), takeIdentification())
  }

  private mutating func header(
    _ tuple: FourTuple, flags: TCPFlags, sequence: UInt32
  ) -> TCPHeader {
    acknowledged = receiveNext
    return TCPHeader(
      sourcePort: tuple.local.port, destinationPort: tuple.remote.port, sequence: sequence,
      acknowledgment: receiveNext, flags: flags, window: advertisedWindow)
  }

  /// The identification of the next packet; `count` are used up.
  mutating func takeIdentification(_ count: Int = 1) -> UInt16 {
    defer { identification &+= UInt16(truncatingIfNeeded: count) }
    return identification
  }

  /// Whether a segment fits this connection: as close to what was received as the peer's limit in
  /// flight keeps it, and acknowledging nothing that we never sent (RFC 5961, section 5.2).
  func isAcceptable(_ header: TCPHeader, payloadLength: Int) -> Bool {
    let ahead = header.sequence.sequenceDistance(from: receiveNext)
    let end = ahead &+ payloadLength
    let ackAhead = header.acknowledgment.sequenceDistance(from: sendHighest)
    return header.flags.contains(.ack)
      && ahead >= -inFlightLimit && end <= inFlightLimit
      && ackAhead <= 0 && ackAhead >= -TCPProfile.window
  }

  /// Whether the sequence number alone fits: for an RST, which need not acknowledge.
  func isInWindow(_ sequence: UInt32) -> Bool {
    abs(sequence.sequenceDistance(from: receiveNext)) <= inFlightLimit
  }

  /// Whether a segment that starts there was sent and is not acknowledged.
  func isInFlight(_ sequence: UInt32) -> Bool {
    sequence.sequenceDistance(from: sendUnacknowledged) >= 0
      && sequence.sequenceDistance(from: sendHighest) < 0
  }

  /// Whether an acknowledgment is no news although something is in flight.
  func isRepeated(_ acknowledgment: UInt32) -> Bool {
    acknowledgment == sendUnacknowledged && sendNext != sendUnacknowledged
  }

  /// Takes the acknowledgment and window of an acceptable segment. True where it was news.
  mutating func acknowledge(_ header: TCPHeader) -> Bool {
    peerWindow = Int(header.window) &<< Int(peerScale ?? 0)
    guard header.acknowledgment.sequenceDistance(from: sendUnacknowledged) > 0 else {
      return false
    }
    sendUnacknowledged = header.acknowledgment
    // After a rewind the peer may acknowledge more than was sent again.
    if sendNext.sequenceDistance(from: sendUnacknowledged) < 0 { sendNext = sendUnacknowledged }
    return true
  }

  /// Notes that a valid segment ended at `end`.
  @inline(__always)
  mutating func received(upTo end: UInt32) {
    if end.sequenceDistance(from: receiveNext) > 0 { receiveNext = end }
  }

  /// The window stayed full for a probe timeout, so its tail was lost: sends go on from SND.UNA.
  mutating func rewind() { sendNext = sendUnacknowledged }
}
