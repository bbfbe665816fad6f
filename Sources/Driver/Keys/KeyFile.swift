// The file of --key-file: who may read it, and what is wrong with it, in one sentence that shows
// nothing of what it holds.

public import Engine
import Glibc
import Kernel

/// A file of keys.
public struct KeyFile: Hashable, Sendable {
  /// The absolute path.
  public let path: String
  /// A client has one key.
  private let role: ProcessRole

  /// A file for a server or a client; it is not looked at yet. A relative path is bound to the
  /// directory of now.
  public init(_ path: String, for role: ProcessRole) throws(StartError) {
    self.path = try absolutePath(path, for: "--key-file")
    self.role = role
  }

  /// Reads the keys.
  public func load() throws(StartError) -> [NamedKey] {
    let text = try read()
    let keys: [NamedKey]
    do throws(KeyFileError) { keys = try KeyFileText.keys(in: text.bytes) } catch {
      throw StartError(.usage, sentence(for: error))
    }
    if role == .client, keys.count > 1 {
      throw wrong("it has \(keys.count) keys, and a client has one: leave that line alone in it.")
    }
    return keys
  }

  private func read() throws(StartError) -> SecretText {
    // O_NONBLOCK: to open a pipe without a writer would wait for one.
    let number = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
    guard number != -1 else { throw unreadable(errno) }
    let file = Descriptor(owning: number)
    try check(file)
    // One byte more than may be in it tells that there is more.
    var text = SecretText(capacity: KeyFileText.byteLimit + 1)
    guard text.fill(from: file) else { throw unreadable(errno) }
    return text
  }

  /// Throws unless this is a regular file that is ours or root's, and nobody else's to read.
  private func check(_ file: borrowing Descriptor) throws(StartError) {
    var status = stat()
    guard unsafe fstat(file.rawValue, &status) == 0 else { throw unreadable(errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw wrong("it is no regular file: give the path of a file with a line of rsock keygen.")
    }
    guard status.st_uid == 0 || status.st_uid == geteuid() else {
      throw StartError(
        .permission,
        "\(place) belongs to another user (uid \(status.st_uid)), who can read and replace the "
          + "keys: run chown \(geteuid()) \(path.quotedForShell)")
    }
    guard status.st_mode & 0o007 == 0 else {
      let mode = String(status.st_mode & 0o7777, radix: 8)
      throw StartError(
        .permission,
        "\(place) is open to all users (mode 0\(mode)): run chmod o= \(path.quotedForShell)")
    }
  }

  private var place: String { "--key-file: \(path.printable)" }

  private func wrong(_ rest: String) -> StartError { StartError(.usage, "\(place): \(rest)") }

  private func unreadable(_ code: Int32) -> StartError {
    StartError(
      call: "--key-file: cannot read \"\(path.printable)\"", code: code,
      remedy: "Give the path of a file that you may read, with a line of rsock keygen.")
  }
}

// MARK: - Sentences

extension KeyFile {
  private func sentence(for error: KeyFileError) -> String {
    switch error {
    case .noKey: "\(place): it has no key: put a line of rsock keygen into it."
    case .tooLong: "\(place): it is larger than \(KeyFileText.byteLimit >> 10) KiB."
    case .tooManyKeys: "\(place): it has more than \(KeyFileText.keyLimit) keys."
    case .line(let line, let fault): "\(place), line \(line): \(fault.sentence)"
    }
  }
}

extension KeyFileError.Fault {
  fileprivate var sentence: String {
    switch self {
    case .key: "the key is not 32 bytes of base64: make one with rsock keygen."
    case .name:
      "what stands before the key is no name: write NAME KEY, with a name of 1 to "
        + "\(NamedKey.nameLimit) letters, digits, dots, underscores or hyphens."
    case .words: "there are more than two words: write NAME KEY; a comment starts with #."
    case .nameless: "the key has no name, and is not the only one: write NAME KEY."
    case .repeatedName(let line): "the name is that of line \(line) too: give each key its own."
    case .repeatedKey(let line): "the key is that of line \(line) too: give each client its own."
    }
  }
}
