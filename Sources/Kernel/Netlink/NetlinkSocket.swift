// A netlink socket (netlink(7), over libmnl): ask, and read the whole answer.
//
// The kernel works on a request inside sendmsg(2) and queues the answer before that returns; of a
// long dump it queues the next part whenever one is read. So the socket never blocks: EAGAIN
// means that the answer is complete.

import CLinux
import CMnl
import Glibc

/// A netlink socket for questions to the kernel.
@safe public struct NetlinkSocket: ~Copyable {
  private let socket: OpaquePointer
  private let buffer: UnsafeMutableRawBufferPointer
  private let lastSequence: UnsafeMutablePointer<UInt32>

  /// Opens a socket for routes, links, addresses and neighbours (rtnetlink(7)).
  public init() throws(SystemError) { try self.init(bus: NETLINK_ROUTE) }

  /// Opens a socket of the protocol `bus` (`NETLINK_*`) that hears the multicast `groups`.
  package init(bus: Int32, groups: [Int32] = []) throws(SystemError) {
    let flags = Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    guard let opened = unsafe mnl_socket_open2(bus, flags) else {
      throw SystemError(call: "open a netlink socket", code: errno)
    }
    do throws(SystemError) {
      try check("bind a netlink socket") { unsafe mnl_socket_bind(opened, 0, 0) }
      for group in groups { try unsafe Self.set(NETLINK_ADD_MEMBERSHIP, group, on: opened) }
      // The kernel's own words about an error, without our request sent back.
      try unsafe Self.set(NETLINK_EXT_ACK, 1, on: opened)
      try unsafe Self.set(NETLINK_CAP_ACK, 1, on: opened)
    } catch {
      unsafe mnl_socket_close(opened)
      throw error
    }
    unsafe socket = opened
    // A part of a dump has at most 32 KiB (`netlink_dump`).
    unsafe buffer = .allocate(byteCount: 32_768, alignment: 8)
    unsafe lastSequence = .allocate(capacity: 1)
    unsafe lastSequence.initialize(to: 0)
  }

  deinit {
    unsafe mnl_socket_close(socket)
    unsafe buffer.deallocate()
    unsafe lastSequence.deallocate()
  }

  private static func set(
    _ option: Int32, _ value: Int32, on socket: OpaquePointer
  ) throws(SystemError) {
    var value = value
    try check("set option \(option) of a netlink socket") {
      unsafe mnl_socket_setsockopt(socket, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
  }

  /// The socket's descriptor, readable when there is an event. It stays the socket's.
  package var descriptor: Int32 { unsafe mnl_socket_get_fd(socket) }

  /// The number for the next request.
  package func nextSequence() -> UInt32 {
    unsafe lastSequence.pointee &+= 1
    return unsafe lastSequence.pointee
  }

  /// Sends `request` and gives what `parse` makes of each message of the answer. `verb` says in
  /// an error what was tried. A dump during which the kernel's table changed is asked for again.
  package func query<Element>(
    _ verb: @autoclosure () -> String, _ request: borrowing NetlinkRequest,
    _ parse: (borrowing NetlinkMessage) -> Element?
  ) throws(SystemError) -> [Element] {
    for _ in 0..<16 {
      let bytes = request.bytes
      try check(verb()) {
        unsafe bytes.withUnsafeBytes { unsafe mnl_socket_sendto(socket, $0.baseAddress, $0.count) }
      }
      var answer = NetlinkAnswer<Element>()
      while let received = try receive(verb()) {
        answer.read(received, sequence: request.sequence, port: portID, parse)
      }
      if let failure = answer.failure { throw failure.error(verb()) }
      if !answer.isInterrupted { return answer.elements }
    }
    throw SystemError(call: verb(), code: EINTR)
  }

  private var portID: UInt32 { unsafe mnl_socket_get_portid(socket) }

  /// The next packet of messages, nil where there is none.
  @_lifetime(borrow self)
  package func receive(_ verb: @autoclosure () -> String) throws(SystemError) -> RawSpan? {
    let count = retryingInterrupts {
      unsafe mnl_socket_recvfrom(socket, buffer.baseAddress, buffer.count)
    }
    if count == -1 {
      let code = errno
      if code == EAGAIN { return nil }
      throw SystemError(call: verb(), code: code)
    }
    return unsafe _overrideLifetime(
      RawSpan(_unsafeStart: buffer.baseAddress!, byteCount: count), borrowing: self)
  }
}

extension NetlinkSocket {
  /// Throws away what waits, and that events were lost (ENOBUFS), for one who reads all anew.
  package func discard() {
    while true {
      let count = unsafe mnl_socket_recvfrom(socket, buffer.baseAddress, buffer.count)
      if count == -1, errno != ENOBUFS, errno != EINTR, errno != ENOSPC { return }
    }
  }
}
