// rsock as a user gets it: a copy of the release binary with file capabilities, run by an ordinary
// user.

import Glibc

/// What `setcap` gave the binary.
public enum Grant: String, Sendable {
  /// What the README says.
  case all = "cap_net_raw,cap_net_admin,cap_net_bind_service=p"
  /// A container that withholds the rest.
  case rawOnly = "cap_net_raw=p"
  /// Nothing: setcap was forgotten.
  case none = "="
}

/// Where the tests keep copies of the binary, and the run-time directories of those that run.
public enum Installation {
  /// The ordinary user: nobody, nogroup.
  public static let user = 65534
  private static let prefix = "rsock-test"
  /// Whether the program has a sanitizer in it (ci/test --sanitize), which keeps memory that was freed,
  /// and whose own system calls end it in the sandbox.
  public static let isSanitized = unsafe getenv("RSOCK_SANITIZED") != nil
  private static let made = Shared<[Grant: String]>([:])

  /// The path of a copy with the capabilities of `grant`.
  public static func binary(_ grant: Grant = .all) throws -> String {
    try made.update { made in
      if let path = made[grant] { return path }
      let path = try directory.get() + "/rsock-\(made.count)"
      try run("cp", try original(), path)
      try run("chmod", "755", path)
      if grant != .none { try run("setcap", grant.rawValue, path) }
      made[grant] = path
      return path
    }
  }

  /// The run-time directory of the ordinary user on a host.
  static func runtimeDirectory(of host: Host) throws -> String {
    let path = try directory.get() + "/run-\(host.namespace.name)"
    try run("install", "-d", "-m", "700", "-o", "\(user)", "-g", "\(user)", path)
    return path
  }

  /// A file with a new key, of the ordinary user and for nobody else to read.
  public static let keyFile: Result<String, any Error> = Result { () throws -> String in
    try writeKeys([newKey()], to: "key")
  }

  /// A new key, as a user makes it.
  public static func newKey() throws -> String {
    let text = try run(binary(), "keygen")
    return String(text.prefix { $0 != "\n" })
  }

  /// Writes a key file of the ordinary user, for nobody else to read, over one that is there; gives
  /// its path. The lines are keys, or names and keys.
  @discardableResult
  public static func writeKeys(_ lines: [String], to name: String) throws -> String {
    let path = try directory.get() + "/\(name)"
    let owner = "\(user)"
    try run("install", "-m", "600", "-o", owner, "-g", owner, "/dev/null", path)
    try writeFile(path, lines.joined(separator: "\n") + "\n")
    return path
  }

  /// A fresh directory that all may enter.
  public static let directory: Result<String, any Error> = Result { () throws -> String in
    let base = try executableBase()
    removeStale(in: base)
    let path = "\(base)/\(prefix)-\(getpid())"
    try run("install", "-d", "-m", "755", path)
    atexit { _ = try? run("rm", "-rf", Installation.directory.get()) }
    return path
  }

  // The binary lies beside the test program; RSOCK_BINARY names another to test.
  private static func original() throws -> String {
    if let path = unsafe getenv("RSOCK_BINARY") { return unsafe String(cString: path) }
    return try tool("rsock")
  }

  /// The path of a program that was built with this one.
  public static func tool(_ name: String) throws -> String {
    var bytes = [CChar](repeating: 0, count: 4096)
    let count = try check(unsafe readlink("/proc/self/exe", &bytes, bytes.count), "readlink")
    let path = String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return path[...path.lastIndex(of: "/")!] + name
  }

  // File capabilities do not count where the file system is mounted nosuid (mount(8)).
  private static func executableBase() throws -> String {
    for base in ["/tmp", "/var/tmp", "/run"] {
      var status = statvfs()
      if unsafe statvfs(base, &status) == 0, status.f_flag & UInt(ST_NOSUID | ST_NOEXEC) == 0 {
        return base
      }
    }
    throw Failure("no directory that is not mounted nosuid")
  }

  private static func removeStale(in base: String) {
    let names = (try? run("ls", base)) ?? ""
    for name in names.split(separator: "\n") where name.hasPrefix(prefix + "-") {
      guard let pid = pid_t(name.dropFirst(prefix.count + 1)), kill(pid, 0) != 0, errno == ESRCH
      else { continue }
      _ = try? run("rm", "-rf", "\(base)/\(name)")
    }
  }
}

extension Host {
  /// The command line that runs a program here as the ordinary user. Two steps: `setpriv` leaves
  /// root's capabilities in place until its exec of `env` drops them, and only the exec behind that
  /// gains the file's, as it would for a user who logged in (facts of prctl(2), PR_SET_DUMPABLE).
  public func commandLineForUser(_ command: [String]) throws -> [String] {
    var command = command
    let isConfined = ["server", "client"].contains { command.contains($0) }
    if Installation.isSanitized, isConfined { command.append("--no-sandbox") }
    return namespace.commandLine(
      [
        "nice", "-n", "\(priority)", "setpriv", "--reuid=\(Installation.user)",
        "--regid=\(Installation.user)",
        "--clear-groups", "--inh-caps=-all", "env",
        "RUNTIME_DIRECTORY=\(try Installation.runtimeDirectory(of: self))",
      ] + command)
  }

  /// The paths of the files in the ordinary user's run-time directory here, sockets ("s" to find(1)) and
  /// others apart.
  public func runtimeFiles(ofType type: String = "f") throws -> [String] {
    try run("find", Installation.runtimeDirectory(of: self), "-type", type)
      .split(separator: "\n").map(String.init)
  }

  /// Starts rsock here as the ordinary user.
  public func startRsock(_ arguments: [String], grant: Grant = .all) throws -> ChildProcess {
    try ChildProcess(commandLineForUser([Installation.binary(grant)] + arguments))
  }

  /// Runs rsock here to its end, as the ordinary user, with all that it said.
  public func runRsock(
    _ arguments: [String], grant: Grant = .all, atMost limit: Duration = .seconds(5)
  ) throws -> (status: ChildProcess.Status, output: String, errors: String) {
    let process = try startRsock(arguments, grant: grant)
    let status = try process.wait(atMost: limit)
    return (status, process.output, process.errors)
  }
}
