// The other end of a control socket: what `rsock status`, `rsock reconnect` and `rsock stop` do.

import Glibc
import Kernel
import Wire

/// A connection to a running rsock.
public struct ControlCall: ~Copyable {
  /// How long an answer may take.
  private static let patience = Duration.seconds(5)
  /// The longest answer in bytes: more than 16,384 channels have.
  private static let answerLimit = 64 << 20

  private let connection: LocalConnection
  private let path: String
  private var input: [UInt8] = []
  private var start = 0

  /// Connects to the rsock that listens at `path`.
  public init(_ path: String) throws(StartError) {
    do throws(SystemError) { connection = try Self.connect(path) } catch {
      throw Self.error(error, at: path)
    }
    self.path = path
  }

  private static func connect(_ path: String) throws(SystemError) -> LocalConnection {
    let connection = try LocalConnection(to: path)
    // Who may write where the socket is can put another one there.
    let user = try connection.peerUser()
    guard user == 0 || geteuid() == 0 || user == geteuid() else {
      throw SystemError(call: "connect to \(path.printable)", code: EACCES)
    }
    return connection
  }

  private static func error(_ error: SystemError, at path: String) -> StartError {
    let place = path.printable
    switch error.code {
    case ECONNREFUSED:
      return StartError(.failure, "Nothing answers at \(place): the rsock that made it has ended.")
    case ENOENT:
      return StartError(
        .failure,
        "There is no control socket \(place): is rsock running, and does it have that one?"
      )
    case EACCES, EPERM:
      return StartError(
        .permission, "\(place) belongs to another user: run this as that user, or as root.")
    default: return StartError(error)
    }
  }

  /// Sends one request.
  public mutating func ask(_ line: [UInt8]) throws(StartError) {
    var rest = (line + [UInt8(ascii: "\n")])[...]
    while !rest.isEmpty {
      switch connection.write(rest) {
      case .moved(let count): rest = rest.dropFirst(count)
      case .blocked:
        guard connection.wait(toWrite: true, atMost: Self.patience) else { throw silent }
      case .ended: throw ended
      }
    }
  }

  /// The next line of the answer.
  public mutating func nextLine() throws(StartError) -> ArraySlice<UInt8> {
    var searched = start
    while true {
      if let end = input[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { start = end + 1 }
        return input[start..<end]
      }
      searched = input.count
      try receive()
    }
  }

  /// Waits until the other end has closed the connection.
  public mutating func awaitEnd() throws(StartError) {
    while true {
      switch connection.read(into: &input, upTo: Self.answerLimit) {
      case .ended: return
      case .moved: continue
      case .blocked: guard connection.wait(atMost: Self.patience) else { throw silent }
      }
    }
  }

  private mutating func receive() throws(StartError) {
    switch connection.read(into: &input, upTo: Self.answerLimit) {
    case .moved: return
    case .blocked:
      guard input.count < Self.answerLimit, connection.wait(atMost: Self.patience) else {
        throw silent
      }
    case .ended: throw ended
    }
  }

  private var silent: StartError {
    StartError(.failure, "The rsock at \(path.printable) does not answer.")
  }

  private var ended: StartError {
    StartError(.failure, "The rsock at \(path.printable) ended before it answered.")
  }
}

/// Where control sockets are.
public enum ControlSockets {
  /// The paths of all in the runtime directories of this user, and those directories. A process that was
  /// killed leaves one behind.
  public static func all() -> (paths: [String], directories: [String]) {
    let directories = RuntimeDirectory.candidates()
    let paths = directories.flatMap { directory in
      names(in: directory).filter { $0.hasSuffix(".sock") }.sorted().map { "\(directory)/\($0)" }
    }
    return (paths, directories)
  }

  private static func names(in path: String) -> [String] {
    guard let directory = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      unsafe names.append(
        withUnsafePointer(to: &entry.pointee.d_name) {
          unsafe String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
        })
    }
    return names
  }
}
