// This program once more, beside the one that is confined: it does what the sandbox forbids, and is
// trusted with nothing. The two exchange messages (unix(7), SOCK_SEQPACKET).

import CLinux
import Glibc

/// A process of this program that answers messages. It ends when this value does.
public struct HelperProcess: ~Copyable {
  /// The longest message in bytes.
  public static let messageLimit = 4096

  /// Readable when an answer has come, or the process has ended.
  public let descriptor: Descriptor

  /// Starts this program with these arguments and no environment, and the socket as its standard input.
  /// It inherits no other descriptor. To be called before `Sandbox.enter`.
  public init(arguments: [String]) throws(SystemError) {
    var ends: [Int32] = [-1, -1]
    let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    try check("make a socket pair") { unsafe socketpair(AF_UNIX, type, 0, &ends) }
    let ours = Descriptor(owning: ends[0])
    let theirs = Descriptor(owning: ends[1])
    let number = ours.rawValue
    try check("make a socket pair") { fcntl(number, F_SETFL, O_NONBLOCK) }
    // Nobody waits for it: the kernel forgets it when it ends.
    signal(SIGCHLD, SIG_IGN)
    try Self.start(arguments, input: theirs.rawValue)
    descriptor = ours
  }

  private static func start(_ arguments: [String], input: Int32) throws(SystemError) {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
    for output in [STDOUT_FILENO, STDERR_FILENO] {
      unsafe posix_spawn_file_actions_addopen(&actions, output, "/dev/null", O_WRONLY, 0)
    }
    // This process has blocked and ignored some.
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe posix_spawnattr_setsigmask(&attributes, &signals)
    unsafe sigaddset(&signals, SIGCHLD)
    unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
    unsafe posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    let words = unsafe (["rsock"] + arguments).map { unsafe strdup($0) } + [nil]
    defer { for index in unsafe words.indices { unsafe free(words[index]) } }
    var environment: [UnsafeMutablePointer<CChar>?] = unsafe [nil]
    var process = pid_t()
    let code = unsafe posix_spawn(
      &process, "/proc/self/exe", &actions, &attributes, words, &environment)
    if code != 0 { throw SystemError(call: "start the resolver of names", code: code) }
  }

  /// Sends a message; false where that cannot be done, since the process has ended or does not read.
  public func send(_ message: [UInt8]) -> Bool {
    unsafe Glibc.send(descriptor.rawValue, message, message.count, Int32(MSG_NOSIGNAL))
      == message.count
  }

  /// What has come from the process.
  public enum Arrival {
    case message([UInt8])
    case nothing
    /// It has ended.
    case end
  }

  /// The next message that has come. Longer ones are cut off.
  public func receive() -> Arrival {
    var bytes = [UInt8](repeating: 0, count: Self.messageLimit)
    let source = descriptor.rawValue
    let count = retryingInterrupts { unsafe read(source, &bytes, bytes.count) }
    if count > 0 { return .message(Array(bytes[..<count])) }
    return count == -1 && errno == EAGAIN ? .nothing : .end
  }
}

extension HelperProcess {
  /// The helper's own side: gives up all privileges, then answers each message of the process that
  /// started it, until that one ends.
  public static func serve(_ answer: ([UInt8]) -> [UInt8]) throws(SystemError) {
    // Whoever takes this process over gains nothing but what any program of the user may do.
    try Capabilities.keep(only: [])
    try Capabilities.forbidNewPrivileges()
    try check("end with the parent") { rs_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL)) }
    var bytes = [UInt8](repeating: 0, count: messageLimit)
    while true {
      let count = retryingInterrupts { unsafe read(STDIN_FILENO, &bytes, bytes.count) }
      guard count > 0 else { return }
      let message = answer(Array(bytes[..<count])).prefix(messageLimit)
      let sent = unsafe message.withUnsafeBytes {
        unsafe Glibc.send(STDIN_FILENO, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard sent == message.count else { return }
    }
  }
}
