// Channels on ICMP echo: what the client sends is a request, what the server sends a reply with the
// identifier and the number of the latest request, which is what NATs and firewalls let in
// (`nf_conntrack_icmp`: any number of replies while a request is remembered).
//
// What the envelope holds is what a datagram on UDP does: see NumberedConnection. In a four-tuple the
// client's port is the identifier, and the server's is 0.

internal import Wire

/// What a channel on ICMP keeps beside its `NumberedConnection`.
struct EchoConnection: Sendable {
  /// Client: the number of the next request. Server: that of the latest one.
  var sequence: UInt16
  /// The IPv4 identification of the next segment.
  var identification: UInt16

  /// The number of a segment that is about to be sent.
  mutating func take(ofClient isClient: Bool) -> UInt16 {
    defer { if isClient { sequence &+= 1 } }
    return sequence
  }

  /// Its IPv4 identification.
  mutating func takeIdentification() -> UInt16 {
    defer { identification &+= 1 }
    return identification
  }
}

// Sending.
extension TunnelEngine {
  /// Ends a segment of a channel.
  @inline(__always)
  mutating func finishEcho(on index: Int, into segments: inout SegmentBatch) {
    let sequence = channels[index].echo?.take(ofClient: dialer != nil) ?? 0
    let identification = channels[index].echo?.takeIdentification() ?? 0
    finishEcho(
      to: Origin(.icmp, channels[index].tuple, sequence: sequence),
      identification: identification, flowLabel: channels[index].flowLabel, into: &segments)
  }

  /// Ends a segment that goes to where another one came from.
  func finishEcho(
    to origin: Origin, identification: UInt16, flowLabel: UInt32, into segments: inout SegmentBatch
  ) {
    let (local, remote) = (origin.tuple.local, origin.tuple.remote)
    let isRequest = dialer != nil
    segments.finishEcho(
      EchoHeader(
        isRequest ? .request : .reply, identifier: isRequest ? local.port : remote.port,
        sequence: origin.sequence),
      from: local.address, to: remote.address, identification: identification,
      flowLabel: flowLabel)
  }

  /// An identifier for a new channel that no other one of this client has, nor had of late: a network may
  /// remember what it carried of that. Other programs' pings may have it too: the badge keeps both apart.
  mutating func drawIdentifier() -> UInt16 {
    var identifier = dialer?.lastIdentifier ?? UInt16(truncatingIfNeeded: random.next())
    repeat {
      identifier &+= 1
    } while identifier == 0
      || channels.indices.contains {
        channels[$0].kind == .icmp && channels[$0].tuple.local.port == identifier
      }
    dialer?.lastIdentifier = identifier
    return identifier
  }
}

// Receiving.
extension TunnelEngine {
  /// Where a message of a tunnel comes from, and where what it carries lies in the batch; nil where it is
  /// none. Anybody's pings, and our own requests that a kernel answered, have another badge.
  mutating func takeEcho(
    _ packet: borrowing IPPacket, in slot: PacketSlot
  ) -> (Origin, Range<Int>)? {
    guard takesEchoes, let message = EchoMessage(packet),
      message.header.kind == (dialer == nil ? .request : .reply)
    else {
      counters.drop(.malformed)
      return nil
    }
    guard slot.isChecksumTrusted || ICMP.isChecksumValid(of: packet) else {
      counters.drop(.badChecksum)
      return nil
    }
    let identifier = message.header.identifier
    let tuple = FourTuple(
      local: Endpoint(packet.destination, dialer == nil ? 0 : identifier),
      remote: Endpoint(packet.source, dialer == nil ? identifier : 0))
    let start = slot.offset &+ packet.headerLength &+ EchoHeader.byteCount
    return (
      Origin(.icmp, tuple, sequence: message.header.sequence),
      start..<start &+ message.payload.byteCount
    )
  }

  /// Whether a message is one that this side sends on one of its channels.
  func hasSent(
    _ message: borrowing EchoMessage, from source: IPAddress, to destination: IPAddress
  ) -> Bool {
    guard message.payload.byteCount >= ChannelNumber.byteCount,
      let index = byNumber[message.payload.be32(at: 0)], channels[index].kind == .icmp
    else { return false }
    let tuple = channels[index].tuple
    return tuple.local.address == source && tuple.remote.address == destination
  }
}
