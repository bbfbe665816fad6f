// A datagram on its way to a channel, or to two.

internal import Wire

/// One of the copies of a datagram in a session that sends each on two channels.
struct Copy: Sendable {
  /// Which of the copies it is.
  enum Turn: Sendable {
    case first
    case second
    /// There is but one channel.
    case only
  }

  let turn: Turn
  /// The datagram's number, the same in all copies.
  let datagram: UInt32
}

/// A datagram that waits in a packet batch.
struct OutgoingDatagram {
  /// Where it lies in the batch, or where a piece of it does.
  var payload: Range<Int>
  /// The index of its flow, and the flow's name on the wire.
  let flow: Int
  let id: UInt16
  /// Nil where it is sent once.
  let copy: Copy?
  /// Whether it was held back: it lies in memory that is used again before it is sent.
  var hasWaited = false

  /// What stands in front of it where it is sent whole.
  @inline(__always) var prefix: FramePrefix {
    guard let copy else { return .whole }
    return .copy(CopyHeader(datagram: copy.datagram))
  }
}
