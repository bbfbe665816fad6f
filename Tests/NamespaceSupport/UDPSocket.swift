// A UDP socket in a namespace: an app of the tests.

import CSockets
import Glibc
public import Wire

/// A UDP socket with large buffers. Threads may share it; it closes when released.
public final class UDPSocket: Sendable {
  let file: OpenFile

  /// Opens a socket in a namespace, bound to `local` and, if given, connected to `remote`.
  public init(
    in namespace: Namespace, local: Endpoint = Endpoint(.any, 0), remote: Endpoint? = nil
  ) throws {
    file = try namespace.enter {
      let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
      let family = local.address.isIPv4 && remote?.address.isIPv4 != false ? AF_INET : AF_INET6
      return OpenFile(try check(socket(family, type, 0), "socket"))
    }
    // What a test loses must not have been lost by the test's own sockets.
    try file.set(SOL_SOCKET, SO_RCVBUFFORCE, to: 16 << 20)
    try file.set(SOL_SOCKET, SO_SNDBUFFORCE, to: 4 << 20)
    if local.address != .any || local.port != 0 {
      try check(cs_bind_ip(file.number, cs_ip(local)), "bind \(local)")
    }
    if let remote { try connect(to: remote) }
  }

  /// Makes `remote` the only peer.
  public func connect(to remote: Endpoint) throws {
    try check(
      cs_connect_ip(file.number, cs_ip(remote)), "connect \(remote)")
  }

  /// Sends a datagram to the connected peer. ECONNREFUSED belongs to an earlier datagram (udp(7)),
  /// and that nobody listened then is no failure of this one.
  public func send(_ bytes: [UInt8]) throws {
    for _ in 0..<2 {
      if unsafe Glibc.send(file.number, bytes, bytes.count, 0) == bytes.count { return }
      guard errno == ECONNREFUSED else { throw Failure(call: "send") }
    }
  }

  /// Sends a datagram to `remote`.
  public func send(_ bytes: [UInt8], to remote: Endpoint) throws {
    let sent = unsafe cs_sendto(file.number, bytes, bytes.count, cs_ip(remote))
    try check(sent, "sendto \(remote)")
  }

  /// The next datagram and its sender; nil when none comes in time.
  public func receive(within limit: Duration = .seconds(5)) throws -> (
    bytes: [UInt8], from: Endpoint
  )? {
    let deadline = now() + limit
    var bytes = [UInt8](repeating: 0, count: 65536)
    while true {
      let left = max(deadline - now(), .milliseconds(0))
      guard try isReadable(within: min(left, .milliseconds(100))) else {
        try Task.checkCancellation()
        if left == .zero { return nil }
        continue
      }
      var sender = cs_ip()
      let count = unsafe cs_recvfrom(file.number, &bytes, bytes.count, &sender)
      if count < 0, errno == ECONNREFUSED { continue }
      try check(count, "recvfrom")
      return (Array(bytes[..<count]), Endpoint(sender))
    }
  }

  /// Throws away what has come, until nothing has for 100 ms.
  public func drain() throws {
    while try receive(within: .milliseconds(100)) != nil {}
  }

  private func isReadable(within limit: Duration) throws -> Bool {
    var question = pollfd(fd: file.number, events: Int16(POLLIN), revents: 0)
    let milliseconds = Int32(limit.wholeNanoseconds / 1_000_000)
    return try check(unsafe poll(&question, 1, milliseconds), "poll") > 0
  }
}

extension cs_ip {
  fileprivate init(_ endpoint: Endpoint) {
    self.init(high: endpoint.address.high, low: endpoint.address.low, port: endpoint.port)
  }
}

extension Endpoint {
  fileprivate init(_ ip: cs_ip) { self.init(IPAddress(high: ip.high, low: ip.low), ip.port) }
}
