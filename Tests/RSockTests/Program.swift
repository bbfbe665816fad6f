// Runs the built program as a user would, in a network namespace of its own.

import Glibc
import Samples
import Testing

/// How a program ended, and what it printed.
struct Outcome {
  var status: Int32
  var output: String
  var errors: String
  var hasDumpedCore: Bool
}

/// A program that was started: its output goes to files in `scratch`.
final class Running {
  let pid: pid_t
  private var hasEnded = false
  private let outputPath: String
  private let errorsPath: String

  init(_ arguments: [String], environment: [String], in scratch: borrowing Scratch, _ name: String)
  {
    outputPath = "\(scratch.path)/\(name).out"
    errorsPath = "\(scratch.path)/\(name).err"
    pid = spawn(arguments, environment, output: outputPath, errors: errorsPath)
  }

  // A test that failed half-way leaves nothing running.
  deinit { if !hasEnded { _ = end(SIGKILL) } }

  var errors: String { contents(errorsPath) }

  /// Waits until standard error has `text`, 5 s at most; says whether it came.
  func waits(for text: String) -> Bool {
    for _ in 0..<500 where !errors.contains(text) { usleep(10_000) }
    return errors.contains(text)
  }

  /// Waits for the end, after a signal where one is given.
  func end(_ signal: Int32? = nil) -> Outcome {
    hasEnded = true
    if let signal { kill(pid, signal) }
    var status: Int32 = 0
    _ = unsafe waitpid(pid, &status, 0)
    // WIFEXITED, WEXITSTATUS, WTERMSIG, WCOREDUMP of wait(2).
    let code = status & 0x7f == 0 ? status >> 8 & 0xff : 128 + (status & 0x7f)
    return Outcome(
      status: code, output: contents(outputPath), errors: contents(errorsPath),
      hasDumpedCore: status & 0x80 != 0)
  }
}

private func spawn(
  _ arguments: [String], _ environment: [String], output: String, errors: String
) -> pid_t {
  var actions = unsafe posix_spawn_file_actions_t()
  unsafe posix_spawn_file_actions_init(&actions)
  defer { unsafe posix_spawn_file_actions_destroy(&actions) }
  unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
  unsafe posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  unsafe posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  let words = unsafe arguments.map { unsafe strdup($0) } + [nil]
  let variables = unsafe environment.map { unsafe strdup($0) } + [nil]
  let texts = unsafe words + variables
  defer { for index in unsafe texts.indices { unsafe free(texts[index]) } }
  var pid: pid_t = 0
  let code = unsafe posix_spawnp(&pid, arguments[0], &actions, nil, words, variables)
  precondition(code == 0, "cannot run \(arguments[0]): \(code)")
  return pid
}

/// The built program: it lies beside the tests.
let program: String = {
  var path = [CChar](repeating: 0, count: 4096)
  let count = unsafe readlink("/proc/self/exe", &path, path.count)
  let bytes = path[..<count].map { UInt8(bitPattern: $0) }
  let own = String(decoding: bytes, as: UTF8.self)
  return own.prefix(upTo: own.lastIndex(of: "/")!) + "/rsock"
}()

/// The options of the sanitizers (ci/test --sanitize), which the program has with the tests.
private let sanitizerOptions = ["ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"].compactMap {
  (name: String) in
  unsafe getenv(name).map { "\(name)=\(unsafe String(cString: $0))" }
}

/// The sandbox ends a program with a sanitizer at the first system call that is the sanitizer's own.
private let confinement = unsafe getenv("RSOCK_SANITIZED") == nil ? [] : ["--no-sandbox"]

extension Scratch {
  /// The environment of a run: nothing of the tester's but a sanitizer's options.
  func environment(_ extra: [String] = []) -> [String] {
    ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "COLUMNS=80", "RUNTIME_DIRECTORY=\(path)"]
      + sanitizerOptions + extra
  }

  /// Runs rsock to its end; for runs that end by themselves before they touch the network.
  func rsock(_ arguments: String...) -> Outcome { rsock(arguments) }

  /// The same with a list of arguments.
  func rsock(_ arguments: [String]) -> Outcome {
    Running([program] + arguments, environment: environment(), in: self, "run").end()
  }

  /// Starts rsock in this directory and in a new network namespace.
  func start(_ name: String, _ arguments: String...) -> Running { start(name, arguments) }

  /// The same with a list of arguments, and variables of the environment.
  func start(_ name: String, _ arguments: [String], environment extra: [String] = []) -> Running {
    let shell = "cd \"$RUNTIME_DIRECTORY\" && ip link set lo up && exec \"$0\" \"$@\""
    return Running(
      ["unshare", "--net", "sh", "-c", shell, program]
        + arguments.prefix(1) + confinement + arguments.dropFirst(),
      environment: environment(extra), in: self, name)
  }
}
