// Connection tracking as older kernels do it: the window conditions of tcp_in_window in
// net/netfilter/nf_conntrack_proto_tcp.c up to Linux 5.19. Later kernels call some overshoots
// valid, so the kernel that runs these tests cannot be asked.
//
//   I.   seq  <= sender.maximumEnd                      not beyond what the receiver allows
//   II.  end  >= sender.end - receiver.maximumWindow    not before what it has long had
//   III. sack <= receiver.end                           acknowledges nothing that was not seen
//   IV.  sack >= receiver.end - max(66000, sender.maximumWindow)

import Wire

/// Follows every TCP connection of a capture as a strict router does, and notes what such a router
/// would call invalid.
public struct WindowJudge: PacketObserver {
  private var connections: [FourTuple: Connection] = [:]

  /// Segments that were judged.
  public private(set) var segments = 0
  /// How many would have been dropped.
  public private(set) var invalid = 0
  /// The first few of them.
  public private(set) var examples: [String] = []

  /// How often a sender's sequence numbers went past 2^32.
  public var wraps: Int { connections.values.reduce(0) { $0 + $1.original.wraps + $1.reply.wraps } }

  /// A judge that has seen nothing.
  public init() {}

  /// Takes the next packet.
  public mutating func observe(_ packet: CapturedPacket, bytes: RawSpan) {
    if let segment = packet.segment { observe(segment) }
  }

  /// Takes the next segment.
  public mutating func observe(_ segment: CapturedSegment) {
    segments += 1
    let tuple = FourTuple(local: segment.source, remote: segment.destination)
    let reverse = FourTuple(local: segment.destination, remote: segment.source)
    let isReply = connections[tuple] == nil && connections[reverse] != nil
    let key = isReply ? reverse : tuple
    var connection = connections[key] ?? Connection()
    if let fault = connection.judge(segment, isReply: isReply) {
      invalid += 1
      if examples.count < 10 { examples.append("\(fault.rawValue): \(segment)") }
    }
    connections[key] = connection
  }
}

extension WindowJudge: CustomStringConvertible {
  /// The counts and the first faults.
  public var description: String { "\(segments) segments, \(invalid) invalid; \(examples)" }
}

/// What is wrong with a segment.
enum WindowFault: String {
  case noConnection = "no connection"
  case noReplyYet = "not before a SYN-ACK"
  case wrongFlags = "wrong flags for the connection's state"
  case overTheWindow = "I: SEQ is over the upper bound"
  case underTheWindow = "II: SEQ is under the lower bound"
  case acknowledgesUnseen = "III: ACK is over the upper bound"
  case acknowledgesTooLate = "IV: ACK is under the lower bound"
}

/// One tracked connection: struct ip_ct_tcp, as far as the window conditions need it.
private struct Connection {
  enum State {
    case none
    case synSent
    case synReceived
    case established
    case closed
  }

  /// struct ip_ct_tcp_state.
  struct Side {
    var end: UInt32 = 0
    var maximumEnd: UInt32 = 0
    var maximumWindow: UInt32 = 0
    var scale: UInt32 = 0
    var hasScale = false
    var permitsSACK = false
    var wraps = 0
  }

  var state = State.none
  /// Whether a FIN was seen: the next SYN starts anew (IP_CT_TCP_FLAG_CLOSE_INIT).
  var isClosing = false
  var original = Side()
  var reply = Side()

  mutating func judge(_ segment: CapturedSegment, isReply: Bool) -> WindowFault? {
    if segment.flags.contains(.syn), !segment.flags.contains(.ack), !isReply,
      state == .none || state == .closed || isClosing
    {
      self = Connection()
      original.start(with: segment)
      state = .synSent
      return nil
    }
    if let fault = judgeState(segment, isReply: isReply) { return fault }
    // A SYN or SYN-ACK of an established connection is let through and changes nothing.
    if segment.flags.contains(.syn), state == .established { return nil }
    let fault =
      isReply
      ? judgeWindow(segment, sender: &reply, receiver: &original, isReply: true)
      : judgeWindow(segment, sender: &original, receiver: &reply, isReply: false)
    if fault == nil { advance(segment, isReply: isReply) }
    return fault
  }

  /// The entries of tcp_conntracks[][][] that say sIV, for the states that are kept here.
  private func judgeState(_ segment: CapturedSegment, isReply: Bool) -> WindowFault? {
    let isSYN = segment.flags.contains(.syn)
    if state == .none { return .noConnection }
    if !segment.flags.contains(.ack), !isSYN, !segment.flags.contains(.rst) { return .wrongFlags }
    if isSYN, isReply, !segment.flags.contains(.ack) { return .wrongFlags }
    if state == .synSent, !segment.flags.contains(.rst), !isSYN { return .noReplyYet }
    return nil
  }

  private mutating func advance(_ segment: CapturedSegment, isReply: Bool) {
    if segment.flags.contains(.fin) { isClosing = true }
    if segment.flags.contains(.rst) {
      state = .closed
    } else if segment.flags.contains(.syn) {
      if isReply, state == .synSent { state = .synReceived }
    } else if !isReply, state == .synReceived {
      state = .established
    }
  }

  private func judgeWindow(
    _ segment: CapturedSegment, sender: inout Side, receiver: inout Side, isReply: Bool
  ) -> WindowFault? {
    var sequence = segment.sequence
    var end = segment.end
    var acknowledgement = segment.acknowledgement
    var sack = receiver.permitsSACK ? segment.highestSACK ?? acknowledgement : acknowledgement
    if isAfter(acknowledgement, sack) { sack = acknowledgement }
    if sender.maximumWindow == 0 {
      sender.start(with: segment)
      if !sender.hasScale || !receiver.hasScale { (sender.scale, receiver.scale) = (0, 0) }
    } else if state == (isReply ? .synReceived : .synSent), isAfter(end, sender.end) {
      sender.start(with: segment)
    }
    if !segment.flags.contains(.ack)
      || (segment.flags.contains(.rst) && segment.acknowledgement == 0)
    {
      (acknowledgement, sack) = (receiver.end, receiver.end)
    }
    if sequence == end, !segment.flags.contains(.rst) || (sequence == 0 && state == .synSent) {
      (sequence, end) = (sender.end, sender.end)
    }
    if let fault = Self.fault(sequence, end, sack, sender, receiver) { return fault }
    Self.update(segment, end, acknowledgement, sack, &sender, &receiver)
    return nil
  }

  private static func fault(
    _ sequence: UInt32, _ end: UInt32, _ sack: UInt32, _ sender: Side, _ receiver: Side
  ) -> WindowFault? {
    if isAfter(sequence, sender.maximumEnd) { return .overTheWindow }
    if isAfter(sender.end &- receiver.maximumWindow, end) { return .underTheWindow }
    if isAfter(sack, receiver.end) { return .acknowledgesUnseen }
    if isAfter(receiver.end &- max(66_000, sender.maximumWindow), sack) {
      return .acknowledgesTooLate
    }
    return nil
  }

  private static func update(
    _ segment: CapturedSegment, _ end: UInt32, _ acknowledgement: UInt32, _ sack: UInt32,
    _ sender: inout Side, _ receiver: inout Side
  ) {
    let scale = segment.flags.contains(.syn) ? 0 : sender.scale
    let window = UInt32(segment.window) << scale
    sender.maximumWindow = max(sender.maximumWindow, window &+ (sack &- acknowledgement))
    if isAfter(end, sender.end) {
      if end < sender.end { sender.wraps += 1 }
      sender.end = end
    }
    if receiver.maximumWindow != 0, isAfter(end, sender.maximumEnd) {
      receiver.maximumWindow &+= end &- sender.maximumEnd
    }
    if !isAfter(receiver.maximumEnd, sack &+ window) {
      receiver.maximumEnd = sack &+ window &+ (window == 0 ? 1 : 0)
    }
  }
}

extension Connection.Side {
  /// What the first segment of a side says: its SYN or SYN-ACK.
  fileprivate mutating func start(with segment: CapturedSegment) {
    end = segment.end
    maximumEnd = segment.end
    maximumWindow = max(1, UInt32(segment.window))
    guard segment.flags.contains(.syn) else { return }
    scale = UInt32(segment.windowScale ?? 0)
    hasScale = segment.windowScale != nil
    permitsSACK = segment.permitsSACK
  }
}
