// From a configuration to a running process, the same for both roles.

import Glibc
import Kernel
import Logging
import Wire

/// How the process is to run.
public struct ProcessConfiguration: Hashable, Sendable {
  /// Whether to go to the background.
  public var daemon: Bool
  /// Whether to log all that may help to find a fault.
  public var verbose: Bool
  /// The log file; nil for standard error, or syslog in the background.
  public var log: String?
  /// What the user should know about the configuration: logged at start, a line each.
  public var notes: [String]
  /// Whether to confine the process once it runs.
  public var isSandboxed: Bool

  /// A configuration from its parts.
  public init(
    daemon: Bool = false, verbose: Bool = false, log: String? = nil, isSandboxed: Bool = true,
    notes: [String] = []
  ) {
    self.isSandboxed = isSandboxed
    self.daemon = daemon
    self.verbose = verbose
    self.log = log
    self.notes = notes
  }
}

/// Runs a server until it is told to stop, and gives the exit code. What goes wrong was told then.
public func serve(
  _ configuration: ServerConfiguration, in process: ProcessConfiguration,
  control: ControlConfiguration
) -> Int32 {
  launch(.server, port: configuration.tunnel.ports[0], process, control) {
    (log, setup) throws(StartError) in
    try runServer(configuration, log: log, process: &setup)
  }
}

/// Runs a client until it is told to stop, and gives the exit code. What goes wrong was told then.
public func dial(
  _ configuration: ClientConfiguration, in process: ProcessConfiguration,
  control: ControlConfiguration
) -> Int32 {
  launch(.client, port: configuration.listen.port, process, control) {
    (log, setup) throws(StartError) in
    try runClient(configuration, log: log, process: &setup)
  }
}

private func launch(
  _ role: ProcessRole, port: UInt16, _ configuration: ProcessConfiguration,
  _ control: ControlConfiguration,
  _ run: (Logger, inout ProcessSetup) throws(StartError) -> Void
) -> Int32 {
  // A log on a closed pipe is lost, the tunnel goes on.
  signal(SIGPIPE, SIG_IGN)
  do throws(StartError) {
    try setCoreDumps(allowed: !configuration.isSandboxed)
    let destination = try configuration.logDestination()
    var setup = try ProcessSetup(
      daemon: configuration.daemon, verbose: configuration.verbose,
      isSandboxed: configuration.isSandboxed, log: destination, control: control)
    let log = setup.logger
    do throws(StartError) {
      try setup.claim(role, port: port)
      for note in configuration.notes { log.warning("\(note)") }
      try run(log, &setup)
      return setup.finish(nil)
    } catch {
      return setup.finish(error)
    }
  } catch {
    error.print()
    return error.exitCode
  }
}

private func setCoreDumps(allowed: Bool) throws(StartError) {
  do throws(SystemError) {
    if allowed { try Sandbox.setDumpable(true) } else { try Sandbox.forbidCoreDumps() }
  } catch { throw StartError(error) }
}

extension ProcessConfiguration {
  fileprivate func logDestination() throws(StartError) -> LogDestination {
    if let log { return try .file(log) }
    return daemon ? .syslog() : .standardError
  }
}
