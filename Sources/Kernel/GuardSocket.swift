// Keeps the kernel's TCP out of the way on a port of ours: holds it, and answers nothing.
//
// A listening socket takes the segments that belong to no connection, and its filter drops them
// before TCP sees them (`tcp_v4_rcv` runs it first), so neither SYN-ACK nor RST leaves. Bound but
// not listening would not do: the kernel resets then.

import CLinux
import Glibc
public import Wire

/// A kernel TCP socket that holds a port and answers nothing there.
public struct GuardSocket: ~Copyable {
  /// The address and port held.
  public let endpoint: Endpoint
  private let descriptor: Descriptor

  /// Holds `endpoint`; port 0 lets the kernel choose one.
  public init(at endpoint: Endpoint) throws(SystemError) {
    let descriptor = try openSocket("TCP", domain: AF_INET, type: SOCK_STREAM)
    // Else connections in TIME_WAIT of a program before us keep the port.
    try setOption(
      "SO_REUSEADDR", of: descriptor, level: SOL_SOCKET, option: SO_REUSEADDR, to: 1)
    try SocketFilter.nothing.attach(to: descriptor.rawValue)
    try endpoint.bind(descriptor, transport: "TCP")
    // With SO_REUSEADDR two sockets can be bound to one port; only one can listen.
    if listen(descriptor.rawValue, 1) == -1 {
      throw endpoint.bindError(errno, transport: "TCP")
    }
    self.endpoint = try Endpoint(boundTo: descriptor)
    self.descriptor = descriptor
  }
}
