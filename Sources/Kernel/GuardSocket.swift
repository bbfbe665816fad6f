// Keeps the kernel's TCP out of the way on a port of ours: holds it, and answers nothing.
//
// A listening socket takes the segments that belong to no connection, and drops them before TCP
// sees them (`tcp_v4_rcv` checks signatures and runs the filter first), so neither SYN-ACK nor RST
// leaves. Bound but not listening would not do: the kernel resets then.

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
    let descriptor = try openSocket(
      "TCP", domain: endpoint.address.family.domain, type: SOCK_STREAM)
    // The port's IPv4 half has a guard of its own.
    if endpoint.address.family == .ipv6 { try setVersion6Only(of: descriptor, to: true) }
    // Else connections in TIME_WAIT of a program before us keep the port.
    try setOption(
      "SO_REUSEADDR", of: descriptor, level: SOL_SOCKET, option: SO_REUSEADDR, to: 1)
    try Self.silence(descriptor, endpoint.address.family)
    try endpoint.bind(descriptor, transport: "TCP")
    // With SO_REUSEADDR two sockets can be bound to one port; only one can listen.
    if listen(descriptor.rawValue, 1) == -1 {
      throw endpoint.bindError(errno, transport: "TCP")
    }
    self.endpoint = try Endpoint(boundTo: descriptor)
    self.descriptor = descriptor
  }

  /// Makes the socket drop every segment before TCP looks at it: by a filter; where that takes
  /// CAP_NET_ADMIN (kernel commit 5d39580f68e6, "tcp: restrict SO_ATTACH_FILTER to priv users", of
  /// June 2026, in stable kernels too), by the demand for a signature that nobody can make.
  private static func silence(
    _ socket: borrowing Descriptor, _ family: AddressFamily
  ) throws(SystemError) {
    do {
      try SocketFilter.nothing.attach(to: socket.rawValue)
    } catch let error where error.code == EPERM {
      try demandSignature(of: socket, family)
    }
  }

  /// Gives the socket a random key for the TCP signature option (RFC 2385) of every peer: segments
  /// without it are dropped unanswered (`tcp_inbound_md5_hash`, called where the filter is run).
  private static func demandSignature(
    of socket: borrowing Descriptor, _ family: AddressFamily
  ) throws(SystemError) {
    let number = socket.rawValue
    var source = SystemRandom()
    let key = (source.next(), source.next())
    var demand = tcp_md5sig()
    demand.tcpm_addr.ss_family = sa_family_t(family.domain)
    demand.tcpm_flags = UInt8(TCP_MD5SIG_FLAG_PREFIX)  // with prefix length 0: any address
    demand.tcpm_keylen = UInt16(MemoryLayout.size(ofValue: key))
    unsafe withUnsafeMutableBytes(of: &demand.tcpm_key) {
      unsafe $0.storeBytes(of: key.0, as: UInt64.self)
      unsafe $0.storeBytes(of: key.1, toByteOffset: 8, as: UInt64.self)
    }
    try check("silence a TCP socket", remedy: Capabilities.missingRemedy(for: .netAdmin)) {
      unsafe setsockopt(
        number, Int32(IPPROTO_TCP), TCP_MD5SIG_EXT, &demand,
        socklen_t(MemoryLayout<tcp_md5sig>.size))
    }
  }
}
