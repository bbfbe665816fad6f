// Signals as something to read (signalfd(2)).

import CLinux
import Glibc

/// The signals that end or reload the program, taken from their default action.
public struct SignalSource: ~Copyable {
  /// Readable when a signal has come.
  public let descriptor: Descriptor

  /// Blocks SIGINT, SIGTERM, SIGUSR1 and SIGHUP and ignores SIGPIPE. To be made before any thread
  /// is started: a thread inherits what is blocked.
  public init() throws(SystemError) {
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    for number in [SIGINT, SIGTERM, SIGUSR1, SIGHUP] { unsafe sigaddset(&signals, number) }
    let code = unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    if code != 0 { throw SystemError(call: "block signals", code: code) }
    signal(SIGPIPE, SIG_IGN)
    descriptor = Descriptor(
      owning: try check("open signalfd") {
        unsafe signalfd(-1, &signals, Int32(SFD_NONBLOCK | SFD_CLOEXEC))
      })
  }

  /// The next signal that has come; nil where none is left.
  public func next() -> Int32? {
    let source = descriptor.rawValue
    var info = signalfd_siginfo()
    let size = MemoryLayout<signalfd_siginfo>.size
    let count = retryingInterrupts { unsafe read(source, &info, size) }
    return count == size ? Int32(bitPattern: info.ssi_signo) : nil
  }
}
