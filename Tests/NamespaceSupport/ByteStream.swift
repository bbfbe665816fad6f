// A TCP connection that carries as many bytes as it can, for programs that tunnel TCP.

import CSockets
import Glibc
import Synchronization
public import Wire

/// A server that sends to each that connects, one after the other, without end.
public final class ByteSource: Sendable {
  private let isOver = Signal()

  /// Starts to listen.
  public init(in namespace: Namespace, at local: Endpoint) throws {
    let listener = try namespace.enter {
      let file = try openStream()
      try file.set(SOL_SOCKET, SO_REUSEADDR, to: 1)
      try check(cs_bind(file.number, local.address.ipv4, local.port), "bind \(local)")
      try check(listen(file.number, 8), "listen")
      return file
    }
    try listener.setReceiveTimeout(.milliseconds(100))
    let isOver = isOver
    startDetachedThread {
      hurry()
      while !isOver.isRaised {
        let number = cs_accept(listener.number)
        if number >= 0 { send(to: OpenFile(number), until: isOver) }
      }
    }
  }

  deinit { isOver.raise() }
}

private func openStream() throws -> OpenFile {
  let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
  return OpenFile(try check(socket(AF_INET, type, 0), "socket"))
}

private func send(to connection: OpenFile, until stop: Signal) {
  let bytes = [UInt8](repeating: 0x55, count: 65_536)
  try? connection.setSendTimeout(.milliseconds(100))
  while !stop.isRaised {
    let count = unsafe Glibc.send(
      connection.number, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    if count < 0, errno != EAGAIN, errno != EINTR { return }
  }
}

/// A client that takes all that a server sends, connects anew where it is cut off, and counts the bytes
/// of each stretch of time.
public final class ByteMeter: Sendable {
  private let isOver = Signal()
  private let bins: Shared<[Int]>
  private let thread: Background<Void>

  /// Starts to connect. The first of `count` stretches, each so long, begins now.
  public init(
    in namespace: Namespace, to remote: Endpoint, count: Int, each length: Duration
  ) {
    let bins = Shared([Int](repeating: 0, count: count))
    let (isOver, start) = (isOver, now())
    self.bins = bins
    thread = Background {
      hurry()
      while !isOver.isRaised {
        if let connection = try? namespace.enter({ try connect(to: remote) }) {
          receive(from: connection, until: isOver) { bytes in
            let bin = Int((now() - start) / length)
            if bin < count { bins.update { $0[bin] += bytes } }
          }
        }
        sleepThread(.milliseconds(100))
      }
    }
  }

  /// Ends it; the bytes of each stretch.
  public func finish() -> [Int] {
    isOver.raise()
    thread.join()
    return bins.current
  }
}

private func connect(to remote: Endpoint) throws -> OpenFile {
  let file = try openStream()
  try check(cs_connect(file.number, remote.address.ipv4, remote.port), "connect \(remote)")
  try file.setReceiveTimeout(.milliseconds(100))
  return file
}

private func receive(from file: OpenFile, until stop: Signal, _ count: (Int) -> Void) {
  var bytes = [UInt8](repeating: 0, count: 65_536)
  while !stop.isRaised {
    let received = unsafe recv(file.number, &bytes, bytes.count, 0)
    if received > 0 {
      count(received)
    } else if received == 0 || errno != EAGAIN && errno != EINTR {
      return
    }
  }
}
