// Our form of a log line, for swift-log: `2026-11-23 17:20:01 notice: message key=value`.

import Glibc
public import Logging

/// Formats messages, one line each, and writes them to a destination.
public struct LogWriter: LogHandler {
  /// The least level that is written.
  public var logLevel: Logger.Level
  /// What every line ends with, by key.
  public var metadata: Logger.Metadata = [:]

  private let destination: LogDestination
  private let held: HeldLines?

  /// A writer to `destination`, of what `held` does not keep back.
  init(to destination: LogDestination, level: Logger.Level, held: HeldLines? = nil) {
    self.destination = destination
    self.held = held
    logLevel = level
  }

  /// One value of what every line ends with.
  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  /// Writes one line; control characters in it are escaped.
  public func log(event: LogEvent) {
    let pairs = metadata.merging(event.metadata ?? [:]) { _, new in new }
    let tail = pairs.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
    let line = "\(event.message)\(tail)".printable
    if held?.hold(line, at: event.level) != true { destination.write(line, at: event.level) }
  }
}

extension Logger {
  /// A logger that writes lines to `destination`: few, or with `verbose` all that may help to find
  /// a fault.
  public init(to destination: LogDestination, verbose: Bool) {
    self.init(to: destination, verbose: verbose, held: nil)
  }

  /// The same, where lines may be held back.
  init(to destination: LogDestination, verbose: Bool, held: HeldLines?) {
    let level: Level = verbose ? .debug : .notice
    self.init(label: "rsock") { _ in LogWriter(to: destination, level: level, held: held) }
  }
}

/// The local time of now, to the second.
func timestamp() -> String {
  var now = time(nil)
  var parts = unsafe tm()
  _ = unsafe localtime_r(&now, &parts)
  return unsafe String(unsafeUninitializedCapacity: 32) { text in
    unsafe text.withMemoryRebound(to: CChar.self) { text in
      unsafe strftime(text.baseAddress!, text.count, "%Y-%m-%d %H:%M:%S", &parts)
    }
  }
}
