// One rsock per role and port: a locked file that says which process it is.

import Glibc
import Kernel

/// What a process is in a tunnel.
public enum ProcessRole: String, Sendable {
  /// It answers clients.
  case server
  /// It dials a server.
  case client
}

/// The locked pid file of this process; it is removed when this value ends. The lock, not the file,
/// says that a process runs: the kernel drops it with the process, also after SIGKILL.
public struct PidFile: ~Copyable {
  private let directory: RuntimeDirectory
  private let name: String
  private let descriptor: Descriptor

  /// Takes the file of a role and port; throws, naming the process that holds it, where one does.
  public init(
    role: ProcessRole, port: UInt16, in directory: consuming RuntimeDirectory
  ) throws(StartError) {
    name = "\(role.rawValue)-\(port).pid"
    descriptor = try Self.lock(name, in: directory, what: "rsock \(role.rawValue) on port \(port)")
    self.directory = directory
    Self.write(getpid(), to: descriptor)
  }

  // Under the lock: whoever waits for it finds another file under this name, or none.
  deinit { _ = unsafe unlinkat(directory.descriptor.rawValue, name, 0) }

  private static func lock(
    _ name: String, in directory: borrowing RuntimeDirectory, what: String
  ) throws(StartError) -> Descriptor {
    // A process that was just killed holds its lock for some more milliseconds.
    var attemptsLeft = 50
    while true {
      let file = try open(name, in: directory)
      guard flock(file.rawValue, LOCK_EX | LOCK_NB) == 0 else {
        let code = errno
        guard code == EWOULDBLOCK else {
          throw StartError(call: "lock \(directory.path)/\(name)", code: code)
        }
        guard attemptsLeft > 0 else { throw alreadyRunning(what, holder: file) }
        attemptsLeft -= 1
        usleep(10_000)
        continue
      }
      // The last holder may have removed the file between our open and our lock.
      if isStill(file, at: name, in: directory) { return file }
    }
  }

  private static func open(
    _ name: String, in directory: borrowing RuntimeDirectory
  ) throws(StartError) -> Descriptor {
    let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW
    let file = unsafe openat(directory.descriptor.rawValue, name, flags, 0o644)
    guard file != -1 else {
      throw StartError(call: "write \(directory.path)/\(name)", code: errno)
    }
    return Descriptor(owning: file)
  }

  private static func isStill(
    _ file: borrowing Descriptor, at name: String, in directory: borrowing RuntimeDirectory
  ) -> Bool {
    var ours = stat()
    var named = stat()
    return unsafe fstat(file.rawValue, &ours) == 0
      && fstatat(directory.descriptor.rawValue, name, &named, AT_SYMLINK_NOFOLLOW) == 0
      && ours.st_ino == named.st_ino && ours.st_dev == named.st_dev
  }

  private static func alreadyRunning(_ what: String, holder: borrowing Descriptor) -> StartError {
    var text = [UInt8](repeating: 0, count: 16)
    let count = unsafe text.withUnsafeMutableBytes {
      unsafe pread(holder.rawValue, $0.baseAddress, $0.count, 0)
    }
    let digits = String(decoding: text.prefix(max(count, 0)), as: UTF8.self)
    // Empty for the moment between the other's lock and its write.
    guard let pid = Int32(digits.prefix { $0 != "\n" }) else {
      return StartError(.failure, "\(what) is already running. Stop it first.")
    }
    return StartError(
      .failure, "\(what) is already running (pid \(pid)). Stop it first: kill \(pid)")
  }

  private static func write(_ pid: pid_t, to file: borrowing Descriptor) {
    // A dead holder's number may be longer. Where the disk is full the file stays empty, which
    // costs the next one's message the number, nothing else.
    _ = ftruncate(file.rawValue, 0)
    writeLine("\(pid)", to: file.rawValue)
  }
}
