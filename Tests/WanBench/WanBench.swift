// ci/bench wan: kcptun by itself and over rsock, on bad networks between two namespaces of this machine.
//
// The machine may be shared and noisy, so ways take turns, and what counts is the ratio to kcptun alone
// on the clean path of the same run.

import Glibc
import LinkModel
import NamespaceSupport
import Plot

@main
enum WanBench {
  /// The main thread waits for signals: a run takes its namespaces and programs away where it is cancelled.
  static func main() {
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    for number in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, number) }
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    let work = Task.detached { await obey() }
    while true {
      var number: Int32 = 0
      unsafe sigwait(&signals, &number)
      work.cancel()
    }
  }

  private static func obey() async {
    do {
      let options = try Options(Array(CommandLine.arguments.dropFirst()))
      if let options {
        guard geteuid() == 0 else {
          complain("ci/bench wan makes network namespaces: run it as root", status: 77)
        }
        try await measure(options)
      } else {
        say(Options.help)
      }
      exit(0)
    } catch is CancellationError {
      complain("bench: interrupted", status: 1)
    } catch let error as UsageError {
      complain(error.description, status: 64)
    } catch {
      complain("bench: \(error)", status: 1)
    }
  }

  private static func measure(_ options: Options) async throws {
    say("kcptun at both ends: \(Programs.kcptunOptions.joined(separator: " "))")
    say("rsock: \(Way.portCount) ports, \(options.protection), defaults otherwise\n")
    let ways = [Way.alone] + (try await accepted(options.carriers)).map { .rsock($0) }
    try run("mkdir", "-p", options.directory)
    var results = Results()
    for network in options.networks {
      for _ in 0..<(options.isShort ? 1 : network.rounds) {
        for way in ways {
          let duration = options.isShort ? Duration.seconds(10) : .seconds(30)
          let measurement = try await Measurement.run(
            way, on: network, options.protection, for: duration)
          say(measurement.summary(way, on: network))
          try measurement.save(to: "\(options.directory)/\(network.name)-\(way.fileName).txt")
          results.add(measurement, way, on: network)
        }
      }
    }
    let title = "Goodput of kcptun, \(try machine())"
    try writeFile("\(options.directory)/wan.svg", results.plot(title).svg)
    try writeFile("\(options.directory)/wan.md", "\(title)\n\n\(results.table)\n")
    say("\n\(title)\n\n\(results.table)\n\nplots: \(options.directory)/wan.svg")
  }

  /// Those carriers that this rsock takes; says which it does not.
  private static func accepted(_ carriers: [Carrier]) async throws -> [Carrier] {
    try await withTwoHosts { _, server in
      try carriers.filter { carrier in
        guard let refusal = try carrier.refusal(on: server) else { return true }
        say("left out, because this rsock refuses it: \(carrier.rawValue) (\(refusal))")
        return false
      }
    }
  }

  private static func machine() throws -> String {
    let date = try run("date", "-u", "+%F")
    let kernel = try run("uname", "-sr")
    let model =
      try textOfFile("/proc/cpuinfo").split(separator: "\n")
      .first { $0.hasPrefix("model name") }?.split(separator: ":").last ?? " unknown processor"
    return [date, "\(try run("nproc")) x\(model)", kernel]
      .map { $0.filter { $0 != "\n" } }
      .joined(separator: ", ")
  }

  private static func complain(_ sentence: String, status: Int32) -> Never {
    writeText(sentence + "\n", to: STDERR_FILENO)
    exit(status)
  }
}

private func say(_ line: String) { writeText(line + "\n") }

extension Way {
  fileprivate var fileName: String {
    switch self {
    case .alone: "alone"
    case .rsock(let carrier): carrier.rawValue
    }
  }
}

extension Measurement {
  /// All that is known of the run, to look for the reason of a figure.
  fileprivate func save(to path: String) throws {
    let parts =
      [
        "Mbit/s, second by second: \(rates.map { decimal($0, 1) }.joined(separator: " "))",
        "up \(report.up.text)", "down \(report.down.text)", report.lateness,
      ] + flows + [messages]
    try writeFile(path, parts.joined(separator: "\n"))
  }
}
