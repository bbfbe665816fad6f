// A TCP connection of the kernel's (tcp(7)), and how bytes move from one to another.
//
// They need no buffer in between: what is there is only looked at, sent on, and taken as far as it was
// sent. So what waits, waits in the two kernel sockets, whose sizes are fixed.

import CLinux
import Glibc
public import Wire

/// Memory that bytes pass through on their way from one stream to another; one serves all.
@safe public struct StreamBuffer: ~Copyable {
  fileprivate static let size = 65_536
  fileprivate let memory: UnsafeMutableRawPointer

  /// Allocates the memory.
  public init() { unsafe memory = .allocate(byteCount: Self.size, alignment: 64) }

  deinit { unsafe memory.deallocate() }
}

/// What became of an attempt to move bytes.
public enum StreamMovement: Hashable, Sendable {
  /// So many were moved, at least one.
  case moved(Int)
  /// There are none, or there is no room for them.
  case blocked
  /// There will be no more.
  case ended
}

/// One end of a TCP connection that the kernel has.
public struct StreamSocket: ~Copyable {
  /// Of each of the two buffers, in bytes; the kernel takes twice as much memory (socket(7)). The
  /// window that a SYN-ACK of ours advertised fits in.
  private static let bufferSize: Int32 = 65_536

  /// Watched by `Epoll`.
  package let descriptor: Descriptor

  /// Begins to connect to `endpoint`; until that is done, and where it fails, `move` tells.
  public init(connectingTo endpoint: Endpoint) throws(SystemError) {
    let descriptor = try Self.open(endpoint.address.family)
    try Self.connect(descriptor, to: endpoint)
    self.init(descriptor)
  }

  init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

  /// A socket that is not connected.
  static func open(_ family: AddressFamily) throws(SystemError) -> Descriptor {
    let descriptor = try openSocket("TCP", domain: family.domain, type: SOCK_STREAM)
    // Else they would grow to megabytes, at the will of the peer.
    try setOption(
      "SO_RCVBUF", of: descriptor, level: SOL_SOCKET, option: SO_RCVBUF, to: bufferSize)
    try setOption(
      "SO_SNDBUF", of: descriptor, level: SOL_SOCKET, option: SO_SNDBUF, to: bufferSize)
    try setOption(
      "TCP_NODELAY", of: descriptor, level: Int32(IPPROTO_TCP), option: TCP_NODELAY, to: 1)
    return descriptor
  }

  static func connect(
    _ descriptor: borrowing Descriptor, to endpoint: Endpoint
  ) throws(SystemError) {
    guard endpoint.connect(descriptor) == -1, errno != EINPROGRESS else { return }
    throw SystemError(call: "connect TCP to \(endpoint)", code: errno)
  }

  /// Moves bytes that have come here to another connection, at most a buffer of them.
  public func move(
    to other: borrowing StreamSocket, through buffer: borrowing StreamBuffer
  ) throws(SystemError) -> StreamMovement {
    let (source, destination) = (descriptor.rawValue, other.descriptor.rawValue)
    let count = retryingInterrupts {
      unsafe recv(source, buffer.memory, StreamBuffer.size, Self.flag(MSG_PEEK))
    }
    if count == -1 { return try Self.blocked(or: "read from a TCP connection") }
    if count == 0 { return .ended }
    let sent = retryingInterrupts {
      unsafe send(destination, buffer.memory, count, Self.flag(MSG_NOSIGNAL))
    }
    if sent == -1 { return try Self.blocked(or: "write to a TCP connection") }
    // Taken without being copied (tcp(7), MSG_TRUNC).
    try check("read from a TCP connection") {
      recv(source, nil, sent, Self.flag(MSG_TRUNC))
    }
    return .moved(sent)
  }

  private static func flag(_ flag: Int) -> Int32 { Int32(flag | MSG_DONTWAIT) }

  private static func blocked(or call: String) throws(SystemError) -> StreamMovement {
    let code = errno
    if code == EAGAIN { return .blocked }
    throw SystemError(call: call, code: code)
  }

  /// Lets the peer know that nothing more comes from here; what was moved here still arrives.
  public func finish() throws(SystemError) {
    let number = descriptor.rawValue
    try check("end a TCP connection") { shutdown(number, Int32(SHUT_WR)) }
  }

  /// Whether both sides have ended, and everything has arrived.
  public var isClosed: Bool {
    var state: UInt8 = 0
    var length = socklen_t(1)
    // tcpi_state is the first byte of what there is to know.
    let result = unsafe getsockopt(
      descriptor.rawValue, Int32(IPPROTO_TCP), TCP_INFO, &state, &length)
    return result == -1 || state == UInt8(TCP_CLOSE)
  }

  /// How much was moved here that the peer has not acknowledged, in bytes; a FIN counts as one.
  public var unacknowledged: Int {
    var count: Int32 = 0
    return unsafe ioctl(descriptor.rawValue, UInt(TIOCOUTQ), &count) == 0 ? Int(count) : 0
  }
}
