// How a running rsock confines itself, so that whoever takes it over can do little with it:
//
//   no core dumps ─► capabilities cut, no_new_privs ─► Landlock: files, ports ─► seccomp: calls
//
// All of it is for good. `Capabilities` has the second.

import CLinux
import Glibc
public import Wire

/// What a process goes on doing once it is confined.
public struct Sandbox: Hashable, Sendable {
  /// Files that are read, and directories with all that is beneath. A file that is replaced by
  /// another of its name is another: for one that is read again, name its directory.
  public var readable: [String]
  /// Files that are written, and directories beneath which files are made and written.
  public var writable: [String]
  /// Directories beneath which files are removed.
  public var removable: [String]
  /// Whether syslog(3) is used: it connects anew when the system's logger was restarted.
  public var usesSyslog: Bool
  /// The ports of a server with a decoy, on which TCP connections are taken over; nil without one. To go
  /// on with one is to connect to any port of its other side.
  public var decoyPorts: PortSet?

  /// A sandbox with these files.
  public init(
    readable: [String], writable: [String], removable: [String] = [], usesSyslog: Bool = false,
    decoyPorts: PortSet? = nil
  ) {
    self.decoyPorts = decoyPorts
    self.readable = readable
    self.writable = writable
    self.removable = removable
    self.usesSyslog = usesSyslog
  }

  /// What of the sandbox is in force.
  public struct Effect: Hashable, Sendable {
    /// The version of Landlock's interface; 0 without Landlock.
    public fileprivate(set) var landlockVersion: Int32 = 0
    /// Why the kernel guards no files; nil where it does.
    public fileprivate(set) var withoutLandlock: SystemError?
    /// Why the kernel filters no system calls; nil where it does.
    public fileprivate(set) var withoutSeccomp: SystemError?
  }

  /// Confines the process. From now on a system call that rsock does not use kills it (SIGSYS), and
  /// files that are not named are denied to it (EACCES). What the kernel does not have is left out,
  /// and told. To be called before there are threads, after `Capabilities.forbidNewPrivileges`.
  public func enter() throws(SystemError) -> Effect {
    var effect = Effect()
    do throws(SystemError) { effect.landlockVersion = try Landlock.probe() } catch {
      effect.withoutLandlock = error
    }
    do throws(SystemError) { try Seccomp.probe() } catch { effect.withoutSeccomp = error }
    do throws(SystemError) {
      if effect.withoutLandlock == nil { try guardFiles(effect.landlockVersion) }
      // Last: Landlock's own calls are none of those that stay allowed.
      if effect.withoutSeccomp == nil { try filterCalls() }
    } catch {
      throw SystemError(
        call: error.call, code: error.code, remedy: "--no-sandbox starts without a sandbox")
    }
    return effect
  }

  private func guardFiles(_ version: Int32) throws(SystemError) {
    let landlock = try Landlock(version: version, guardsConnections: decoyPorts == nil)
    for path in readable { try landlock.allow(.read, at: path) }
    for path in writable { try landlock.allow(.write, at: path) }
    for path in removable { try landlock.allow(.remove, at: path) }
    // A client's guard sockets.
    try landlock.allow(bindingTo: 0)
    for range in decoyPorts?.ranges ?? [] {
      for port in range { try landlock.allow(bindingTo: port) }
    }
    try landlock.enforce()
  }

  private func filterCalls() throws(SystemError) {
    let filter: SystemCallFilter
    let calls = AllowedCall.all(usesSyslog: usesSyslog, showsDecoy: decoyPorts != nil)
    do { filter = try SystemCallFilter(calls) } catch {
      throw SystemError(call: "build the system call filter (\(error))", code: E2BIG)
    }
    try Seccomp.install(filter)
  }
}

extension Sandbox {
  /// Makes sure that no memory of this process is written to disk when it crashes, nor read by
  /// other processes of its user: by RLIMIT_CORE, and by PR_SET_DUMPABLE, because the former is
  /// nothing to a kernel that pipes cores to a program (core(5)). With ambient capabilities, and
  /// for root, the kernel does not do so by itself. To be called before there are secrets.
  public static func forbidCoreDumps() throws(SystemError) {
    var limit = rlimit(rlim_cur: 0, rlim_max: 0)
    try check("set RLIMIT_CORE") {
      unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
    }
    try setDumpable(false)
  }

  /// Whether the kernel may write this process's memory to a core file, and let other processes of
  /// its user read it (prctl(2), PR_SET_DUMPABLE).
  public static func setDumpable(_ isDumpable: Bool) throws(SystemError) {
    try check("set the dumpable flag") { rs_prctl(PR_SET_DUMPABLE, isDumpable ? 1 : 0) }
  }
}
