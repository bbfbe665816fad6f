// Child processes: short commands, and programs that run beside a test.

public import Glibc
import Synchronization
import Wire

/// Runs a command to its end and returns what it wrote to its standard output. Throws, with what
/// it wrote to standard error, where its exit status is not 0.
@discardableResult
public func run(_ command: String...) throws -> String { try run(command) }

/// Runs a command to its end, as above.
@discardableResult
public func run(_ command: [String]) throws -> String {
  let process = try ChildProcess(command)
  let status = process.wait()
  guard status == .exited(0) else {
    throw Failure(
      "\(command.joined(separator: " ")): \(status): \(process.errors)\(process.output)")
  }
  return process.output
}

/// A process that this one started, with its two outputs as text. Killed when released.
public final class ChildProcess: Sendable {
  /// How a process ended.
  public enum Status: Hashable, Sendable {
    /// By itself, with an exit code.
    case exited(Int32)
    /// By a signal.
    case killed(Int32)
  }

  /// The command line, for messages.
  public let command: [String]
  /// The process.
  public let pid: pid_t
  private let texts: [TextBuffer]
  private let input: OpenFile?
  private let end = Shared<Status?>(nil)
  private let coreFlag = Atomic(false)

  /// Starts a program, found through PATH. Its standard input is empty, or what `write` gives it.
  public init(_ command: [String], takesInput: Bool = false) throws {
    let pipes = [try Pipe(), try Pipe()]
    let ends = takesInput ? try socketPair() : nil
    self.command = command
    input = ends?.0
    pid = try spawn(
      command, input: ends?.1, output: pipes[0].writing, errors: pipes[1].writing)
    let texts = [TextBuffer(), TextBuffer()]
    self.texts = texts
    for (pipe, text) in zip(pipes, texts) {
      let reading = pipe.reading
      startDetachedThread { text.fill(from: reading) }
    }
  }

  deinit {
    if end.current == nil {
      kill(pid, SIGKILL)
      wait()
    }
  }

  /// What it has written to standard output so far.
  public var output: String { texts[0].text }
  /// What it has written to standard error so far.
  public var errors: String { texts[1].text }
  /// Whether it was seen to end with a core dump (WCOREDUMP of wait(2)).
  public var hasDumpedCore: Bool { coreFlag.load(ordering: .acquiring) }
  /// Whether it has not been seen to end.
  public var isRunning: Bool { poll(WNOHANG) == nil }

  /// Gives text to a process that takes input.
  public func write(_ text: String) throws {
    guard let input else { preconditionFailure("it takes no input") }
    try input.send(Array(text.utf8))
  }

  /// Sends a signal, unless it has ended.
  public func signal(_ number: Int32) { if isRunning { kill(pid, number) } }

  /// Waits for its end and the end of its outputs.
  @discardableResult
  public func wait() -> Status {
    guard let status = poll(0) else { preconditionFailure("waitpid") }
    return status
  }

  /// Waits for its end, at most so long; throws where it goes on.
  public func wait(atMost limit: Duration) throws -> Status {
    try NamespaceSupport.wait(for: "the end of \(command)", atMost: limit) { !isRunning }
    return wait()
  }

  /// SIGTERM, and the end within 5 s.
  @discardableResult
  public func terminate() throws -> Status {
    signal(SIGTERM)
    return try wait(atMost: .seconds(5))
  }

  /// SIGKILL, and its end.
  public func killNow() {
    signal(SIGKILL)
    wait()
  }

  /// Waits until one of the two outputs contains `text`.
  public func waitForText(_ text: String, atMost limit: Duration = .seconds(10)) throws {
    try NamespaceSupport.wait(for: "\"\(text)\" from \(command)", atMost: limit) {
      if output.contains(text) || errors.contains(text) { return true }
      guard isRunning else { throw Failure("\(command) ended: \(output)\(errors)") }
      return false
    }
  }

  private func poll(_ options: Int32) -> Status? {
    let (status, isNew) = end.update { end -> (Status?, Bool) in
      if let end { return (end, false) }
      var raw: Int32 = 0
      guard unsafe waitpid(pid, &raw, options) == pid else { return (nil, false) }
      coreFlag.store(raw & 0x80 != 0, ordering: .releasing)
      end = raw & 0x7F == 0 ? .exited(raw >> 8 & 0xFF) : .killed(raw & 0x7F)
      return (end, true)
    }
    // What it wrote last may still be on its way. A child of its own may hold the outputs open for
    // ever, so this does not wait for ever.
    let start = now()
    while isNew, !texts.allSatisfy(\.isComplete), now() - start < .seconds(2) {
      sleepThread(.milliseconds(1))
    }
    return status
  }
}

/// Text that one thread fills and others read.
private final class TextBuffer: Sendable {
  private let bytes = Shared<[UInt8]>([])
  private let isAtEnd = Atomic(false)

  var isComplete: Bool { isAtEnd.load(ordering: .acquiring) }
  var text: String { bytes.update { String(decoding: $0, as: UTF8.self) } }

  func fill(from file: OpenFile) {
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = unsafe read(file.number, &chunk, chunk.count)
      guard count > 0 else { break }
      bytes.update { $0 += chunk[..<count] }
    }
    isAtEnd.store(true, ordering: .releasing)
  }
}

private struct Pipe {
  let reading: OpenFile
  let writing: OpenFile

  init() throws {
    var ends: [Int32] = [0, 0]
    try check(unsafe pipe2(&ends, O_CLOEXEC), "pipe2")
    (reading, writing) = (OpenFile(ends[0]), OpenFile(ends[1]))
  }
}

/// Nothing of the tester's but the options of the sanitizers (ci/test --sanitize), which the program
/// has with the tests.
private let childEnvironment =
  ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
  + ["ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"].compactMap { (name: String) in
    unsafe getenv(name).map { "\(name)=\(unsafe String(cString: $0))" }
  }

private func spawn(
  _ command: [String], input: OpenFile?, output: OpenFile, errors: OpenFile
) throws -> pid_t {
  var actions = unsafe posix_spawn_file_actions_t()
  unsafe posix_spawn_file_actions_init(&actions)
  defer { unsafe posix_spawn_file_actions_destroy(&actions) }
  if let input {
    unsafe posix_spawn_file_actions_adddup2(&actions, input.number, 0)
  } else {
    unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
  }
  unsafe posix_spawn_file_actions_adddup2(&actions, output.number, 1)
  unsafe posix_spawn_file_actions_adddup2(&actions, errors.number, 2)
  // The pool's threads, and so those that they start, block every signal, and a child inherits that.
  var attributes = posix_spawnattr_t()
  unsafe posix_spawnattr_init(&attributes)
  defer { unsafe posix_spawnattr_destroy(&attributes) }
  var noSignals = sigset_t()
  unsafe sigemptyset(&noSignals)
  unsafe posix_spawnattr_setsigmask(&attributes, &noSignals)
  unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
  var arguments = unsafe command.map { unsafe strdup($0) } + [nil]
  var environment = unsafe childEnvironment.map { unsafe strdup($0) } + [nil]
  defer {
    for index in unsafe arguments.indices { unsafe free(arguments[index]) }
    for index in unsafe environment.indices { unsafe free(environment[index]) }
  }
  var pid = pid_t()
  let error = unsafe posix_spawnp(&pid, command[0], &actions, &attributes, &arguments, &environment)
  guard error == 0 else {
    errno = error
    throw Failure(call: "posix_spawn \(command)")
  }
  return pid
}
