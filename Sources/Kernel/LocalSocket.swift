// Unix stream sockets (unix(7)): where programs of this host ask, by a path in the file system.

import CLinux
import Glibc
import Wire

/// A Unix socket that takes connections. Its file, which the owner alone may use, is removed when this
/// value ends.
public struct LocalListener: ~Copyable {
  /// Readable when somebody connects.
  public let descriptor: Descriptor
  /// Where it is.
  public let path: String
  private let device: dev_t
  private let inode: ino_t

  /// Takes connections at `path`, an absolute one. What a program that was killed left there is
  /// replaced; where one still answers the error is EADDRINUSE. To be called before there are threads:
  /// it changes the umask for a moment.
  public init(at path: String) throws(SystemError) {
    let descriptor = try openSocket("Unix", domain: AF_UNIX, type: SOCK_STREAM)
    do { try Self.bind(descriptor, to: path) } catch let error where error.code == EADDRINUSE {
      try Self.removeStale(path)
      try Self.bind(descriptor, to: path)
    }
    var status = stat()
    let number = descriptor.rawValue
    do throws(SystemError) {
      try check("look at \(path)") { unsafe lstat(path, &status) }
      try check("listen at \(path)") { listen(number, 8) }
    } catch {
      _ = unsafe unlink(path)
      throw error
    }
    self.descriptor = descriptor
    self.path = path
    device = status.st_dev
    inode = status.st_ino
  }

  // By unlinkat, which the sandbox allows; and only what is ours.
  deinit {
    var status = stat()
    guard unsafe lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode else {
      return
    }
    _ = unsafe unlinkat(AT_FDCWD, path, 0)
  }

  private static func bind(
    _ socket: borrowing Descriptor, to path: String
  ) throws(SystemError) {
    var address = try sockaddr_un(path)
    let number = socket.rawValue
    // The file has its mode from the start.
    let mask = umask(0o177)
    defer { umask(mask) }
    try check("make the control socket \(path)") {
      unsafe rs_bind(number, &address, socklen_t(MemoryLayout<sockaddr_un>.size))
    }
  }

  private static func removeStale(_ path: String) throws(SystemError) {
    let verb = "make the control socket \(path)"
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else { throw SystemError(call: verb, code: errno) }
    guard status.st_mode & S_IFMT == S_IFSOCK else {
      throw SystemError(call: verb, code: EEXIST, remedy: "It is no socket: name another path")
    }
    do throws(SystemError) { _ = try LocalConnection(to: path) } catch {
      // unix_stream_connect: nobody listens there any more.
      guard error.code == ECONNREFUSED else {
        throw SystemError(call: verb, code: error.code, remedy: "Name another path")
      }
      guard unsafe unlink(path) == 0 || errno == ENOENT else {
        throw SystemError(call: "remove the old control socket \(path)", code: errno)
      }
      return
    }
    throw SystemError(
      call: verb, code: EADDRINUSE, remedy: "Another program answers there: name another path")
  }

  /// The next one who connects; nil where nobody does.
  public func accept() -> LocalConnection? {
    let listener = descriptor.rawValue
    let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let number = retryingInterrupts { rs_accept(listener, flags) }
    return number == -1 ? nil : LocalConnection(Descriptor(owning: number))
  }
}

/// One end of a connection between two programs of this host. Nothing here waits but `wait`.
public struct LocalConnection: ~Copyable {
  package let descriptor: Descriptor

  fileprivate init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

  /// Connects to the program that listens at `path`: ECONNREFUSED where there is none any more, ENOENT
  /// where there was none, EACCES where it is another user's.
  public init(to path: String) throws(SystemError) {
    let descriptor = try openSocket("Unix", domain: AF_UNIX, type: SOCK_STREAM)
    var address = try sockaddr_un(path)
    let number = descriptor.rawValue
    try check("connect to \(path)") {
      unsafe rs_connect(number, &address, socklen_t(MemoryLayout<sockaddr_un>.size))
    }
    self.descriptor = descriptor
  }

  /// The effective user of the program at the other end, as it was when it connected or began to listen
  /// (SO_PEERCRED).
  public func peerUser() throws(SystemError) -> UInt32 {
    var credentials = ucred()
    try readOption(
      "SO_PEERCRED", of: descriptor, level: SOL_SOCKET, option: SO_PEERCRED, into: &credentials)
    return credentials.uid
  }

  /// Adds what has come to `bytes`, until it has `limit` of them. A connection that failed has ended.
  public func read(into bytes: inout [UInt8], upTo limit: Int) -> StreamMovement {
    let room = min(limit - bytes.count, 16_384)
    guard room > 0 else { return .blocked }
    let source = descriptor.rawValue
    let count = unsafe withUnsafeTemporaryAllocation(byteCount: room, alignment: 1) { memory in
      let count = retryingInterrupts {
        unsafe Glibc.read(source, memory.baseAddress, room)
      }
      if count > 0 { unsafe bytes.append(contentsOf: memory.prefix(count)) }
      return count
    }
    return Self.movement(count)
  }

  /// Sends as much of `bytes` as there is room for. A connection that failed has ended.
  public func write(_ bytes: ArraySlice<UInt8>) -> StreamMovement {
    let destination = descriptor.rawValue
    let count = unsafe bytes.withUnsafeBytes { memory in
      retryingInterrupts {
        unsafe send(destination, memory.baseAddress, memory.count, Int32(MSG_NOSIGNAL))
      }
    }
    return Self.movement(count)
  }

  private static func movement(_ count: Int) -> StreamMovement {
    if count > 0 { return .moved(count) }
    return count == -1 && errno == EAGAIN ? .blocked : .ended
  }

  /// Waits until something has come, or until there is room; false where that takes longer.
  public func wait(toWrite: Bool = false, atMost limit: Duration) -> Bool {
    let milliseconds = Int32(clamping: limit.wholeNanoseconds / 1_000_000)
    var question = pollfd(
      fd: descriptor.rawValue, events: Int16(toWrite ? POLLOUT : POLLIN), revents: 0)
    return retryingInterrupts { unsafe poll(&question, 1, milliseconds) } > 0
  }
}

extension sockaddr_un {
  fileprivate init(_ path: String) throws(SystemError) {
    self.init()
    sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    // With the zero behind it.
    guard bytes.count < MemoryLayout.size(ofValue: sun_path), !bytes.contains(0) else {
      throw SystemError(
        call: "use \(path) for a control socket", code: ENAMETOOLONG,
        remedy: "Name a path of at most 107 bytes with --control")
    }
    unsafe withUnsafeMutableBytes(of: &sun_path) { unsafe $0.copyBytes(from: bytes) }
  }
}
