// Socket options and socket addresses, as the sockets of this module use them.

import CLinux
import Glibc
import Wire

/// Opens a non-blocking socket that a started program does not inherit.
func openSocket(
  _ name: String, domain: Int32, type: __socket_type, protocol number: Int32 = 0,
  remedy: @autoclosure () -> String? = nil
) throws(SystemError) -> Descriptor {
  let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
  return Descriptor(
    owning: try check("open \(name) socket", remedy: limitRemedy() ?? remedy()) {
      socket(domain, Int32(type.rawValue) | flags, number)
    })
}

/// What can be done where the call that failed found RLIMIT_NOFILE, which is as high as we may raise it.
private func limitRemedy() -> String? {
  errno == EMFILE ? "Raise the hard limit (ulimit -Hn, or LimitNOFILE= of the unit)" : nil
}

/// Sets an option whose value is a number.
func setOption(
  _ name: String, of socket: borrowing Descriptor, level: Int32, option: Int32, to value: Int32
) throws(SystemError) {
  let descriptor = socket.rawValue
  var value = value
  try check("set \(name)") {
    unsafe setsockopt(
      descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
  }
}

/// Reads an option into `value`, which has its size.
func readOption<Value: BitwiseCopyable>(
  _ name: String, of socket: borrowing Descriptor, level: Int32, option: Int32,
  into value: inout Value
) throws(SystemError) {
  let descriptor = socket.rawValue
  var length = socklen_t(MemoryLayout<Value>.size)
  try check("read \(name)") { unsafe getsockopt(descriptor, level, option, &value, &length) }
}

/// Marks everything that the socket sends, for rules of routing and firewall (socket(7), SO_MARK).
func setMark(_ mark: UInt32?, of socket: borrowing Descriptor) throws(SystemError) {
  guard let mark else { return }
  try setOption(
    "SO_MARK", of: socket, level: SOL_SOCKET, option: SO_MARK, to: Int32(bitPattern: mark))
}

/// Whether an IPv6 socket leaves IPv4 to others.
func setVersion6Only(of socket: borrowing Descriptor, to isOnly: Bool) throws(SystemError) {
  try setOption(
    "IPV6_V6ONLY", of: socket, level: Int32(IPPROTO_IPV6), option: IPV6_V6ONLY, to: isOnly ? 1 : 0)
}

/// A socket buffer that the kernel made smaller than asked for.
public struct BufferLimit: Hashable, Sendable {
  /// The size asked for, in bytes.
  public let requested: Int
  /// The size there is, in bytes.
  public let granted: Int
  /// The sysctl that bounds it: `net.core.rmem_max` or `net.core.wmem_max`.
  public let sysctl: String
}

extension BufferLimit: CustomStringConvertible {
  /// What is bounded, and the command that lifts it.
  public var description: String { "\(remedy), or give the binary CAP_NET_ADMIN" }

  /// The same without the capability that would lift it, for who needs none.
  public var remedy: String {
    "a socket buffer of \(granted) bytes instead of \(requested): "
      + "sudo sysctl -w \(sysctl)=\(requested)"
  }
}

/// Which of a socket's two buffers.
enum SocketBuffer {
  case receive
  case send
}

/// Makes a buffer of a socket `size` bytes large: past the sysctl's bound with CAP_NET_ADMIN, else
/// up to it (socket(7)). Gives the bound where it counted.
func enlarge(
  _ buffer: SocketBuffer, of socket: borrowing Descriptor, to size: Int32
) throws(SystemError) -> BufferLimit? {
  let (name, force, plain, sysctl) =
    switch buffer {
    case .receive: ("SO_RCVBUF", SO_RCVBUFFORCE, SO_RCVBUF, "net.core.rmem_max")
    case .send: ("SO_SNDBUF", SO_SNDBUFFORCE, SO_SNDBUF, "net.core.wmem_max")
    }
  do {
    try setOption(name + "FORCE", of: socket, level: SOL_SOCKET, option: force, to: size)
    return nil
  } catch let error where error.code == EPERM {
    try setOption(name, of: socket, level: SOL_SOCKET, option: plain, to: size)
  }
  var doubled: Int32 = 0
  try readOption(name, of: socket, level: SOL_SOCKET, option: plain, into: &doubled)
  // The kernel doubles the number for its own overhead, and tells the doubled one.
  let granted = Int(doubled) / 2
  guard granted < size else { return nil }
  return BufferLimit(requested: Int(size), granted: granted, sysctl: sysctl)
}

extension Endpoint {
  /// The endpoint that a socket is bound to.
  init(boundTo socket: borrowing Descriptor) throws(SystemError) {
    let descriptor = socket.rawValue
    var address = SocketAddress(Endpoint(.any, 0), on: .ipv4)
    var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
    try check("read a socket's address") {
      unsafe rs_getsockname(descriptor, &address.name, &length)
    }
    self = address.endpoint
  }

  /// Binds a socket of this family here; `transport` is "TCP" or "UDP".
  func bind(_ socket: borrowing Descriptor, transport: String) throws(SystemError) {
    let descriptor = socket.rawValue
    var address = SocketAddress(self, on: self.address.family)
    let result = unsafe rs_bind(descriptor, &address.name, address.length)
    if result == -1 { throw bindError(errno, transport: transport) }
  }

  /// Connects a socket of this family to here; gives what connect(2) gives.
  func connect(_ socket: borrowing Descriptor) -> Int32 {
    var address = SocketAddress(self, on: self.address.family)
    return unsafe rs_connect(socket.rawValue, &address.name, address.length)
  }

  /// What a failed bind or listen on this endpoint means, and what to do.
  func bindError(_ code: Int32, transport: String) -> SystemError {
    let remedy: String? =
      switch code {
      case EADDRINUSE:
        "Choose another port, or end the program that holds this one: "
          + "sudo ss -\(transport == "TCP" ? "t" : "u")lnp sport = :\(port) names it"
      case EADDRNOTAVAIL: "This host has no address \(address): see ip address"
      case EACCES: Capabilities.missingRemedy(for: .netBindService)
      default: nil
      }
    return SystemError(
      call: "bind \(transport) port \(port) of \(address)", code: code, remedy: remedy)
  }
}
