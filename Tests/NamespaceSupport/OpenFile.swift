// A file descriptor that closes itself.

import CSockets
import Glibc
import Wire

/// An open file or socket. Closed when released, so threads may share it.
public final class OpenFile: Sendable {
  /// The descriptor's number.
  public let number: Int32

  /// Takes over an open descriptor.
  public init(_ number: Int32) { self.number = number }

  deinit { close(number) }

  /// Sets a socket option whose value is a number.
  public func set(_ level: Int32, _ option: Int32, to value: Int32) throws {
    var value = value
    try check(
      unsafe setsockopt(number, level, option, &value, socklen_t(MemoryLayout<Int32>.size)),
      "setsockopt \(level) \(option)")
  }

  /// Sends bytes to the other end of a stream socket; a closed one is an error, not a signal.
  func send(_ bytes: [UInt8]) throws {
    let count = unsafe Glibc.send(number, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    guard count == bytes.count else { throw Failure(call: "send") }
  }

  /// How long a receive call waits before it gives up.
  func setReceiveTimeout(_ duration: Duration) throws {
    try setTimeout(SO_RCVTIMEO, duration)
  }

  /// How long a send call waits before it gives up.
  func setSendTimeout(_ duration: Duration) throws {
    try setTimeout(SO_SNDTIMEO, duration)
  }

  private func setTimeout(_ option: Int32, _ duration: Duration) throws {
    let microseconds = Int(duration.wholeNanoseconds / 1000)
    var time = timeval(tv_sec: microseconds / 1_000_000, tv_usec: microseconds % 1_000_000)
    try check(
      unsafe setsockopt(
        number, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size)),
      "setsockopt \(option)")
  }
}

/// A pair of sockets, since writing to a pipe whose reader is gone is a signal (pipe(7)).
func socketPair() throws -> (OpenFile, OpenFile) {
  var ends: [Int32] = [0, 0]
  let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
  try check(unsafe socketpair(AF_UNIX, type, 0, &ends), "socketpair")
  return (OpenFile(ends[0]), OpenFile(ends[1]))
}

extension OpenFile {
  /// Connects to the Unix socket at `path`; nothing waits then.
  public convenience init(connectedTo path: String) throws {
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    self.init(try check(socket(AF_UNIX, type, 0), "socket AF_UNIX"))
    try check(unsafe cs_connect_unix(number, path), "connect \(path)")
  }

  /// Sends all of `bytes` at once; false where there is no room for them, or nobody to read.
  public func write(_ bytes: [UInt8]) -> Bool {
    unsafe Glibc.send(number, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
  }
}

/// Reads a whole file, of /proc too, as text.
public func textOfFile(_ path: String) throws -> String {
  String(decoding: try bytesOfFile(path), as: UTF8.self)
}

/// Reads a whole file, of /proc too.
public func bytesOfFile(_ path: String) throws -> [UInt8] {
  let file = OpenFile(try check(unsafe open(path, O_RDONLY | O_CLOEXEC), "open \(path)"))
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 65536)
  while true {
    let count = try check(unsafe read(file.number, &chunk, chunk.count), "read \(path)")
    guard count > 0 else { return bytes }
    bytes += chunk[..<count]
  }
}

/// Writes a whole file, in the place of one that is there.
public func writeFile(_ path: String, _ text: String) throws {
  let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
  let file = OpenFile(try check(unsafe open(path, flags, 0o644), "open \(path)"))
  let bytes = Array(text.utf8)
  let count = try check(unsafe write(file.number, bytes, bytes.count), "write \(path)")
  guard count == bytes.count else { throw Failure("write \(path): \(count) of \(bytes.count)") }
}

/// Writes text at once, to standard output where nothing else is said: what is printed waits in a buffer
/// where that is no terminal.
public func writeText(_ text: String, to descriptor: Int32 = 1) {
  var rest = Array(text.utf8)[...]
  while !rest.isEmpty {
    let count = unsafe rest.withUnsafeBytes {
      unsafe write(descriptor, $0.baseAddress, $0.count)
    }
    guard count > 0 || errno == EINTR else { return }
    rest = rest.dropFirst(max(0, count))
  }
}
