// Going to the background, so that the shell learns whether the start succeeded:
//
//   rsock ── fork ── setsid ── fork ──► daemon
//     └────── waits on a pipe ◄── its exit code, 0 for "ready"

import Glibc
import Kernel

/// What tells the waiting shell how the start went.
public struct Readiness: ~Copyable {
  private let pipe: Descriptor

  /// Makes this process a daemon (daemon(7)): in a session of its own, without a terminal, in the
  /// root directory. Returns in the daemon; the process that was called ends when the daemon
  /// reports. Standard error stays open until then. Call it before any thread starts.
  public static func daemonize() throws(StartError) -> Readiness {
    var ends: [Int32] = [-1, -1]
    guard unsafe pipe2(&ends, O_CLOEXEC) == 0 else {
      throw StartError(call: "make a pipe", code: errno)
    }
    let read = Descriptor(owning: ends[0])
    let write = Descriptor(owning: ends[1])
    let child = fork()
    if child == -1 { throw StartError(call: "--daemon: fork", code: errno) }
    if child > 0 { awaitReport(on: read, after: child, closing: write) }
    becomeDaemon()
    return Readiness(pipe: write)
  }

  /// Reports that the program runs, and lets go of the terminal.
  public consuming func succeeded() {
    let null = unsafe open("/dev/null", O_RDWR | O_CLOEXEC)
    for descriptor in STDIN_FILENO...STDERR_FILENO where null != -1 {
      _ = dup3(null, descriptor, 0)
    }
    if null > STDERR_FILENO { close(null) }
    report(0)
  }

  /// Reports that the program did not start. The reason was printed already.
  public consuming func failed(exitCode: Int32) {
    report(UInt8(truncatingIfNeeded: exitCode))
  }

  private borrowing func report(_ code: UInt8) {
    var code = code
    // The reader may be gone (Ctrl-C): there is nobody left to tell.
    _ = unsafe write(pipe.rawValue, &code, 1)
  }

  /// The second fork gives the daemon a parent that is gone and no way to get a terminal.
  private static func becomeDaemon() {
    guard setsid() != -1 else { _exit(1) }
    let daemon = fork()
    guard daemon != -1 else { _exit(1) }
    if daemon > 0 { _exit(0) }
    _ = unsafe chdir("/")
  }

  private static func awaitReport(
    on read: consuming Descriptor, after child: pid_t, closing write: consuming Descriptor
  ) -> Never {
    // Our own copy of the writing end would keep the end of file from coming.
    _ = consume write
    var status: Int32 = 0
    while unsafe waitpid(child, &status, 0) == -1 && errno == EINTR {}
    var code: UInt8 = 1
    var count = -1
    repeat {
      count = unsafe Glibc.read(read.rawValue, &code, 1)
    } while count == -1 && errno == EINTR
    if count != 1 {
      writeLine("rsock: --daemon: the program ended before it was ready.", to: STDERR_FILENO)
    }
    _exit(Int32(code))
  }
}
