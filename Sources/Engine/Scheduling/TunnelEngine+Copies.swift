// Each datagram on two channels, in a session that is redundant.
//
//   batch ─► first turn: each flow's home ─► second turn: the next best ─► the one that comes first counts
//
// Both turns count the datagrams from the same number on. Where one is cut, the pieces of both turns are
// alike, so that they make up for each other.

internal import Wire

// Sending.
extension TunnelEngine {
  /// Puts each datagram of a batch on two channels, or on one where there is no other.
  mutating func encapsulateTwice(
    _ datagrams: inout PacketBatch, from origin: DatagramOrigin, of session: Int,
    into segments: inout SegmentBatch, at now: Instant
  ) {
    guard hasCandidate(session), sessions[session].candidates.count > 1 else {
      return encapsulate(&datagrams, from: origin, in: .only, into: &segments, at: now)
    }
    let first = sessions[session].nextNumber
    encapsulate(&datagrams, from: origin, in: .first, into: &segments, at: now)
    sessions[session].nextNumber = first
    encapsulate(&datagrams, from: origin, in: .second, into: &segments, at: now)
  }

  /// The number of a datagram that is cut or sent twice.
  mutating func takeNumber(of session: Int) -> UInt32 {
    let number = sessions[session].nextNumber
    sessions[session].nextNumber = (number &+ 1) & FragmentHeader.datagramMask
    return number
  }

  /// The size of segments by which a datagram is cut that goes on a channel: where it goes on two, so that
  /// its pieces fit all that it may go on.
  func cutLimit(of datagram: OutgoingDatagram, on index: Int) -> Int {
    guard datagram.copy != nil else { return channels[index].segmentSize }
    return sessions[flows[datagram.flow].session].candidates.reduce(channels[index].segmentSize) {
      min($0, channels[$1].segmentSize)
    }
  }
}

// Receiving.
extension TunnelEngine {
  /// Takes a datagram that may come on two channels. Gives where it lies behind its number; nil where it
  /// has come before.
  mutating func takeCopy(
    _ payload: Range<Int>, of packets: borrowing PacketBatch, from channel: Int, at now: Instant
  ) -> Range<Int>? {
    guard let header = CopyHeader(parsing: packets.bytes(payload)) else {
      counters.drop(.truncatedFrame)
      return nil
    }
    let session = channels[channel].session
    guard sessions[session].delivered.take(header.datagram, at: now) else {
      counters.drop(.secondCopy)
      return nil
    }
    return payload.lowerBound &+ CopyHeader.byteCount..<payload.upperBound
  }
}
