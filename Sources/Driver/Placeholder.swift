// Placeholder until the loops are here: it starts, waits for a signal and stops.

import Glibc
import Logging

/// Placeholder of the server's loop.
func runServer(
  _ configuration: ServerConfiguration, log: Logger, process: inout ProcessSetup
) throws(StartError) {
  waitForSignal(log: log, process: &process)
}

/// Placeholder of the client's loop.
func runClient(
  _ configuration: ClientConfiguration, log: Logger, process: inout ProcessSetup
) throws(StartError) {
  waitForSignal(log: log, process: &process)
}

private func waitForSignal(log: Logger, process: inout ProcessSetup) {
  var signals = sigset_t()
  unsafe sigemptyset(&signals)
  for signal in [SIGINT, SIGTERM, SIGUSR1, SIGHUP] { unsafe sigaddset(&signals, signal) }
  unsafe sigprocmask(SIG_BLOCK, &signals, nil)
  process.ready()
  log.notice("started")
  var signal: Int32 = 0
  repeat {
    _ = unsafe sigwait(&signals, &signal)
    if signal == SIGHUP {
      do throws(StartError) { try process.reopenLog() } catch { log.error("\(error.sentence)") }
    }
  } while signal == SIGHUP
  log.notice("stopped")
}
