// Lets the kernel's TCP go on with a connection that it has not had so far.
//
// In repair mode (TCP_REPAIR, made for the checkpoints of CRIU) a socket is told what it would have
// learnt in a handshake, and nothing is sent: `connect` makes it established at once. It may be bound to
// a port that is held by another socket, such as a listening one.

import CLinux
import Glibc
public import Wire

/// A TCP connection in the middle of its life, with nothing of ours unacknowledged. Names as in RFC
/// 9293, section 3.3.1.
public struct ConnectionState: Hashable, Sendable {
  /// This side and the other.
  public var tuple: FourTuple
  /// SND.NXT.
  public var sendNext: UInt32
  /// The sequence number of the first byte of `received`.
  public var receiveNext: UInt32
  /// What was acknowledged, and is still to be read.
  public var received: [UInt8]
  /// SND.WND in bytes.
  public var sendWindow: Int
  /// The window that was advertised with the acknowledgment of `received`, in bytes.
  public var receiveWindow: Int
  /// The shift counts of both windows (RFC 7323, section 2.2); 0 each where they are not scaled.
  public var sendScale: UInt8
  /// See `sendScale`.
  public var receiveScale: UInt8
  /// The peer's MSS.
  public var maximumSegmentSize: UInt16
  /// Whether both sides said so in their SYN (RFC 2018).
  public var permitsSelectiveAcknowledgment: Bool

  /// A state without received data and with windows that are not scaled.
  public init(
    tuple: FourTuple, sendNext: UInt32, receiveNext: UInt32, sendWindow: Int, receiveWindow: Int
  ) {
    self.tuple = tuple
    self.sendNext = sendNext
    self.receiveNext = receiveNext
    self.sendWindow = sendWindow
    self.receiveWindow = receiveWindow
    received = []
    sendScale = 0
    receiveScale = 0
    maximumSegmentSize = 536
    permitsSelectiveAcknowledgment = false
  }
}

extension StreamSocket {
  /// Throws where this process may not make connections from their state: it takes CAP_NET_ADMIN.
  public static func checkRepair() throws(SystemError) {
    let descriptor = try open(.ipv4)
    try descriptor.repair(TCP_REPAIR_ON)
    try descriptor.repair(TCP_REPAIR_OFF_NO_WP)
  }

  /// Goes on with a connection; `interface`, where there is one, is the way that it stays on. Closed
  /// before it ended, it is reset. A four-tuple that a connection has, or one in TIME_WAIT, is
  /// EADDRNOTAVAIL; a port that needs CAP_NET_BIND_SERVICE, without it, EACCES.
  public init(
    resuming state: ConnectionState, interface: Int32? = nil, mark: UInt32? = nil
  ) throws(SystemError) {
    let descriptor = try Self.open(state.tuple.family)
    try descriptor.repair(TCP_REPAIR_ON)
    if let interface {
      try descriptor.set("SO_BINDTOIFINDEX", SOL_SOCKET, SO_BINDTOIFINDEX, to: interface)
    }
    // TCP_REPAIR_OPTIONS comes too late for the size of what is sent.
    try descriptor.set("TCP_MAXSEG", TCP_MAXSEG, to: Int32(state.maximumSegmentSize))
    try state.tuple.local.bind(descriptor, transport: "TCP")
    try descriptor.setSequence(state.sendNext, of: TCP_SEND_QUEUE)
    try descriptor.setSequence(state.receiveNext, of: TCP_RECV_QUEUE)
    try Self.connect(descriptor, to: state.tuple.remote)
    // The queue of received data is still the one at hand.
    try descriptor.fill(with: state.received)
    try descriptor.setOptions(of: state)
    try descriptor.setWindows(of: state)
    // Without the probe of the window that TCP_REPAIR_OFF sends.
    try descriptor.repair(TCP_REPAIR_OFF_NO_WP)
    // Not before: the port was taken by force. Else nobody could listen there while this socket lives.
    try descriptor.set("SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, to: 1)
    try descriptor.resetWhenClosed()
    self.init(descriptor)
  }
}

extension Descriptor {
  fileprivate func repair(_ mode: Int32) throws(SystemError) {
    let number = rawValue
    var mode = mode
    try check("take over a TCP connection", remedy: Capabilities.missingRemedy(for: .netAdmin)) {
      unsafe setsockopt(number, Int32(IPPROTO_TCP), TCP_REPAIR, &mode, 4)
    }
  }

  fileprivate func set(_ name: String, _ option: Int32, to value: Int32) throws(SystemError) {
    try set(name, Int32(IPPROTO_TCP), option, to: value)
  }

  fileprivate func set(
    _ name: String, _ level: Int32, _ option: Int32, to value: Int32
  ) throws(SystemError) {
    try setOption(name, of: self, level: level, option: option, to: value)
  }

  fileprivate func setSequence(_ number: UInt32, of queue: Int) throws(SystemError) {
    try set("TCP_REPAIR_QUEUE", TCP_REPAIR_QUEUE, to: Int32(queue))
    try set("TCP_QUEUE_SEQ", TCP_QUEUE_SEQ, to: Int32(bitPattern: number))
  }

  fileprivate func fill(with bytes: [UInt8]) throws(SystemError) {
    guard !bytes.isEmpty else { return }
    let number = rawValue
    let count = try check("fill the queue of a TCP connection") {
      unsafe send(number, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }
    guard count == bytes.count else {
      throw SystemError(call: "fill the queue of a TCP connection", code: ENOBUFS)
    }
  }

  fileprivate func setOptions(of state: ConnectionState) throws(SystemError) {
    let scales = UInt32(state.sendScale) | UInt32(state.receiveScale) << 16
    var options = [
      tcp_repair_opt(opt_code: UInt32(TCPOPT_MAXSEG), opt_val: UInt32(state.maximumSegmentSize)),
      tcp_repair_opt(opt_code: UInt32(TCPOPT_WINDOW), opt_val: scales),
    ]
    if state.permitsSelectiveAcknowledgment {
      options.append(tcp_repair_opt(opt_code: UInt32(TCPOPT_SACK_PERMITTED), opt_val: 0))
    }
    let number = rawValue
    let size = socklen_t(options.count * MemoryLayout<tcp_repair_opt>.stride)
    try check("set TCP_REPAIR_OPTIONS") {
      unsafe setsockopt(number, Int32(IPPROTO_TCP), TCP_REPAIR_OPTIONS, &options, size)
    }
  }

  fileprivate func setWindows(of state: ConnectionState) throws(SystemError) {
    let end = state.receiveNext &+ UInt32(truncatingIfNeeded: state.received.count)
    var window = tcp_repair_window(
      snd_wl1: state.receiveNext, snd_wnd: UInt32(clamping: state.sendWindow),
      max_window: UInt32(clamping: state.sendWindow),
      rcv_wnd: UInt32(clamping: state.receiveWindow), rcv_wup: end)
    let number = rawValue
    let size = socklen_t(MemoryLayout<tcp_repair_window>.size)
    try check("set TCP_REPAIR_WINDOW") {
      unsafe setsockopt(number, Int32(IPPROTO_TCP), TCP_REPAIR_WINDOW, &window, size)
    }
  }

  /// An end that nobody waited for, SIGKILL among them, leaves nothing behind.
  fileprivate func resetWhenClosed() throws(SystemError) {
    var value = linger(l_onoff: 1, l_linger: 0)
    let number = rawValue
    let size = socklen_t(MemoryLayout<linger>.size)
    try check("set SO_LINGER") {
      unsafe setsockopt(number, SOL_SOCKET, SO_LINGER, &value, size)
    }
  }
}
