// One run: what came through, second by second, and what became of the packets meanwhile.

import LinkModel
import NamespaceSupport
import Wire

/// What one run gave.
struct Measurement: Sendable {
  /// What a point of a plot stands for.
  static let stretch = Duration.seconds(1)
  /// Not counted in averages: kcptun's start.
  static let warmUp = Duration.seconds(2)

  /// Mbit/s of each stretch.
  let rates: [Double]
  /// The link's counters.
  let report: LinkReport
  /// The link's flows.
  let flows: [String]
  /// Processor time of kcptun and rsock at both ends, to the time that passed.
  let processorShare: Double
  /// Busy processors of the machine, whoever used them.
  let busyProcessors: Double
  /// What rsock said.
  let messages: String

  /// Mbit/s, start excepted.
  var goodput: Double {
    let counted = rates.dropFirst(Int(Self.warmUp / Self.stretch))
    return counted.reduce(0, +) / Double(max(1, counted.count))
  }

  /// Runs kcptun one way over one network.
  static func run(
    _ way: Way, on network: Network, _ protection: Protection, for duration: Duration
  ) async throws -> Measurement {
    try await withEmulatedLink(network.commands) { client, link, server in
      let programs = try Programs(way, from: client, to: server, protection)
      let count = Int(duration / stretch)
      let (start, cpu, busy) = (now(), try programs.processorTime(), try busyTime())
      let meter = ByteMeter(
        in: client.namespace, to: Programs.entrance, count: count, each: stretch)
      try pause(duration)
      let bins = meter.finish()
      let elapsed = now() - start
      let measurement = Measurement(
        rates: bins.map { Double($0) * 8 / 1e6 / (stretch / .seconds(1)) },
        report: try link.report(), flows: try link.flows(),
        processorShare: (try programs.processorTime() - cpu) / elapsed,
        busyProcessors: (try busyTime() - busy) / elapsed,
        messages: programs.messages)
      try programs.stop()
      let lost = measurement.report.up[.mislaid] + measurement.report.down[.mislaid]
      guard lost == 0 else {
        throw Failure("the emulated link itself lost \(lost) frames: the machine is too busy")
      }
      return measurement
    }
  }
}

/// The time that all processors together were not idle (proc_stat(5), in hundredths of a second).
private func busyTime() throws -> Duration {
  let text = try textOfFile("/proc/stat")
  let numbers = text.prefix { $0 != "\n" }.split(separator: " ").compactMap { Int($0) }
  guard numbers.count >= 8 else { throw Failure("/proc/stat: \(text.prefix(80))") }
  let idle = numbers[3] + numbers[4]
  return .milliseconds(10 * (numbers[0..<8].reduce(0, +) - idle))
}
