// What is logged before the start has succeeded: a start that fails says one sentence, and nothing
// that only makes sense of a program that runs.

import Logging
import Synchronization

/// Log lines that wait for the start to succeed.
final class HeldLines: Sendable {
  private let lines = Mutex<[(text: String, level: Logger.Level)]?>([])

  /// Keeps a line; false where lines are not held any more.
  func hold(_ text: String, at level: Logger.Level) -> Bool {
    lines.withLock { lines in
      lines?.append((text, level))
      return lines != nil
    }
  }

  /// Writes what was held, and holds nothing from now on.
  func release(to destination: LogDestination) {
    let held = lines.withLock { $0.take() }
    for line in held ?? [] { destination.write(line.text, at: line.level) }
  }
}
