// What ties a running tunnel to its process: the log, the terminal and the pid file.

import Glibc
import Kernel
public import Logging
import Wire

/// What ties a running tunnel to its process.
public struct ProcessSetup: ~Copyable {
  /// Writes to the log; what is said before `ready()` waits for it, unless all is wanted.
  public let logger: Logger

  private let log: LogDestination
  private let held: HeldLines?
  private var readiness: Readiness?
  private var pidFile: PidFile?
  private var runtimeDirectory: String?
  private var role = ProcessRole.client
  private let control: ControlConfiguration
  private var controlPath = ""
  private let isSandboxed: Bool
  private var isRunning = false

  /// Sets up a process that logs to `log`; as a daemon, this returns in another process than it was
  /// called in. Call it before any thread starts.
  public init(
    daemon: Bool, verbose: Bool, isSandboxed: Bool, log: LogDestination,
    control: ControlConfiguration
  ) throws(StartError) {
    // Before a daemon lives in the root directory.
    var control = control
    if let path = control.path { control.path = try absolutePath(path, for: "--control") }
    let readiness = daemon ? try Readiness.daemonize() : nil
    self.isSandboxed = isSandboxed
    self.log = log
    self.control = control
    self.readiness = readiness
    held = verbose ? nil : HeldLines()
    logger = Logger(to: log, verbose: verbose, held: held)
  }

  /// Takes the pid file of a role and port; throws where another process has it.
  public mutating func claim(_ role: ProcessRole, port: UInt16) throws(StartError) {
    let directory = try RuntimeDirectory()
    runtimeDirectory = directory.path
    self.role = role
    controlPath = control.path ?? "\(directory.path)/\(role.rawValue)-\(port).sock"
    pidFile = try PidFile(role: role, port: port, in: directory)
  }

  /// Opens the control socket. To be called after `claim`.
  func openControl() throws(StartError) -> ControlSocket {
    try ControlSocket(at: controlPath, codec: control.codec, role: role)
  }

  /// Confines the process to what it does from now on: what the loops call, the log, the end of the
  /// pid file, reading of `paths`, and a decoy's connections on `decoyPorts`. Says in the log what of that the kernel does not do.
  func confine(
    reading paths: [String] = [], decoyPorts: PortSet? = nil
  ) throws(SystemError) {
    guard isSandboxed else {
      return logger.warning("--no-sandbox: no part of this process is confined")
    }
    // Time stamps take what is read here.
    tzset()
    // ready() lets go of the terminal.
    let null = "/dev/null"
    let sandbox = Sandbox(
      readable: paths + ["/etc/localtime", "/usr/share/zoneinfo", null],
      writable: log.writablePaths + [null],
      removable: [runtimeDirectory].compactMap { $0 } + [directory(of: controlPath)],
      usesSyslog: log.usesSyslog,
      decoyPorts: decoyPorts)
    let effect = try sandbox.enter()
    if let error = effect.withoutLandlock {
      logger.debug("\(error). The user's own permissions guard the files")
    } else {
      logger.debug("files are guarded by Landlock, version \(effect.landlockVersion)")
    }
    if let error = effect.withoutSeccomp {
      logger.warning("\(error). rsock runs without a filter of its system calls")
    }
  }

  /// To be called once, when everything that can fail at start has succeeded: the shell that
  /// started a daemon goes on from here.
  public mutating func ready() {
    isRunning = true
    held?.release(to: log)
    readiness.take()?.succeeded()
  }

  /// Opens the log file anew; for SIGHUP. Throws where that fails; the old file stays in use.
  public func reopenLog() throws(StartError) { try log.reopen() }

  /// Ends the process's part: removes the pid file, tells of an error where the user will see it
  /// (on standard error until `ready()`, in the log after that) and gives the exit code.
  public consuming func finish(_ error: StartError?) -> Int32 {
    pidFile = nil
    guard let error else { return 0 }
    if isRunning {
      log.write(error.sentence.printable, at: .error)
    } else {
      error.print()
      readiness.take()?.failed(exitCode: error.exitCode)
    }
    return error.exitCode
  }
}

extension StartError {
  /// Prints the sentence to standard error, as one line that starts with the program's name.
  public func print() { writeLine("rsock: \(sentence.printable)", to: STDERR_FILENO) }
}

/// Opens /dev/null for each of standard input, output and error that is closed: else a socket or
/// the log would get its number, and whatever prints would print into that.
public func reserveStandardDescriptors() {
  var descriptor: Int32
  repeat { descriptor = unsafe open("/dev/null", O_RDWR) } while descriptor != -1 && descriptor <= 2
  if descriptor > 2 { close(descriptor) }
}

/// Keeps the kernel from writing this process's memory to a core file, and other processes of the
/// same user from reading it; `--no-sandbox` allows it again.
public func hideMemory() {
  // It fails for an unknown value alone.
  try? Sandbox.setDumpable(false)
}
