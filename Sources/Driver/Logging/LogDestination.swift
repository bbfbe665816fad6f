// Where log lines go: standard error, a file that can be opened anew, or syslog.

import Glibc
import Kernel
import Logging

/// Where log lines go. A copy writes to the same place, also after `reopen()`.
public struct LogDestination: Sendable {
  private enum Kind {
    case standardError
    case file(path: String, descriptor: Int32)
    case syslog
  }

  private let kind: Kind

  /// Standard error.
  public static let standardError = LogDestination(kind: .standardError)

  /// Appends to a file, which is created with mode 0640 where there is none. The file stays open
  /// until the process ends; a relative path is bound to the directory of now.
  public static func file(_ path: String) throws(StartError) -> LogDestination {
    let absolute = try absolutePath(path, for: "--log")
    return LogDestination(kind: .file(path: absolute, descriptor: try openForAppending(absolute)))
  }

  /// The system's log, and standard error too as long as that leads somewhere.
  public static func syslog() -> LogDestination {
    // openlog(3) keeps the pointer: it must be to memory that is never freed.
    let name: StaticString = "rsock"
    name.withUTF8Buffer { name in
      let pointer = unsafe UnsafeRawPointer(name.baseAddress!).assumingMemoryBound(to: CChar.self)
      unsafe openlog(pointer, LOG_PID | LOG_NDELAY | LOG_PERROR, LOG_DAEMON)
    }
    return LogDestination(kind: .syslog)
  }

  /// Opens the file by its path again, after logrotate(8) has moved it. On an error the old file
  /// stays in use.
  public func reopen() throws(StartError) {
    guard case .file(let path, let descriptor) = kind else { return }
    // Every logger holds the descriptor's number: the new file takes it over in one step.
    let fresh = Descriptor(owning: try Self.openForAppending(path))
    guard dup3(fresh.rawValue, descriptor, O_CLOEXEC) != -1 else {
      throw StartError(call: "reopen \(path.printable)", code: errno)
    }
  }

  /// Whether lines go through syslog(3).
  var usesSyslog: Bool {
    if case .syslog = kind { true } else { false }
  }

  /// What `reopen()` needs to write: for a file its directory, because the next file of that name
  /// is another one; where the name is a link, the target's directory too.
  package var writablePaths: [String] {
    guard case .file(let path, let descriptor) = kind else { return [] }
    var status = stat()
    let isFile = unsafe fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    return isFile ? [path, Self.target(of: path)].map(Self.directory) : [path]
  }

  private static func target(of path: String) -> String {
    guard let target = unsafe realpath(path, nil) else { return path }
    defer { unsafe free(target) }
    return unsafe String(cString: target)
  }

  private static func directory(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
  }

  /// Writes one message, which must be printable. What cannot be written is lost: there is nobody
  /// to tell.
  func write(_ message: String, at level: Logger.Level) {
    switch kind {
    case .standardError: writeLine("\(timestamp()) \(level): \(message)", to: STDERR_FILENO)
    case .file(_, let descriptor):
      writeLine("\(timestamp()) \(level): \(message)", to: descriptor)
    case .syslog:
      unsafe message.withCString { text in
        unsafe withVaList([text]) { unsafe vsyslog(level.syslogPriority, "%s", $0) }
      }
    }
  }

  private static func openForAppending(_ path: String) throws(StartError) -> Int32 {
    let descriptor = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0o640)
    guard descriptor != -1 else {
      let code = errno
      throw StartError(
        call: "--log: cannot write \"\(path.printable)\"", code: code,
        remedy: "Give the path of a file in a directory that you may write to.")
    }
    return descriptor
  }
}

/// Writes a line in one piece, so that lines of several processes do not mix.
public func writeLine(_ line: String, to descriptor: Int32) {
  var rest = Array(line.utf8)[...]
  rest.append(UInt8(ascii: "\n"))
  while !rest.isEmpty {
    let count = unsafe rest.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
    if count > 0 { rest = rest.dropFirst(count) } else if errno != EINTR { return }
  }
}

extension Logger.Level {
  fileprivate var syslogPriority: Int32 {
    switch self {
    case .trace, .debug: LOG_DEBUG
    case .info: LOG_INFO
    case .notice: LOG_NOTICE
    case .warning: LOG_WARNING
    case .error: LOG_ERR
    case .critical: LOG_CRIT
    }
  }
}
