// rsock status, rsock reconnect, rsock stop

import ArgumentParser
import Driver
import Glibc

/// Which running rsock is meant.
struct ControlOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Its control socket. (default: those in the runtime directory)", valueName: "path"))
  var control: String?

  /// The paths of the control sockets that are meant, at least one.
  func paths() throws(StartError) -> [String] {
    if let control { return [control] }
    let (paths, directories) = ControlSockets.all()
    guard !paths.isEmpty else {
      throw StartError(
        .failure,
        "No rsock of this user is running: there is no control socket in "
          + "\(directories.map(\.printable).joined(separator: ", ")). Name another with --control.")
    }
    return paths
  }

  /// A call to the one rsock that is meant.
  func call() throws(StartError) -> ControlCall {
    let paths = try paths()
    let running = paths.filter { (try? ControlCall($0)) != nil }
    guard running.count > 1 else { return try ControlCall(running.first ?? paths[0]) }
    let words = running.map { "--control=\($0.printable)" }.joined(separator: " or ")
    throw StartError(.usage, "More than one rsock is running: say which, \(words)")
  }
}

/// `rsock status`.
struct StatusCommand: ParsableCommand {
  /// Between the two answers that rates come from.
  private static let interval: UInt32 = 500_000

  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show the sessions and channels of what is running.",
    discussion: """
      Shows every rsock that the user runs here, or the one that --control names. \
      Rates are those of half a second. See docs/control.md for the fields of --json.
      """)

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var options: ControlOptions

  func run() throws {
    let paths = try options.paths()
    var programs: [ProgramDocument] = []
    var failure: StartError?
    for path in paths {
      do throws(StartError) { programs.append(try Self.ask(path)) } catch { failure = error }
    }
    // What a process that was killed left behind says nothing of those that run.
    if let failure, programs.isEmpty || options.control != nil { throw failure }
    print(json ? Self.document(programs) : Self.tables(programs), terminator: "")
    guard fflush(nil) == 0 else { throw StartError(call: "print the status", code: errno) }
  }

  private static func ask(_ path: String) throws(StartError) -> ProgramDocument {
    var call = try ControlCall(path)
    let earlier = try call.status()
    usleep(interval)
    var program = try call.status()
    program.addRates(since: earlier)
    return program
  }

  private static func tables(_ programs: [ProgramDocument]) -> String {
    programs.map { StatusTable($0).text }.joined(separator: "\n")
  }

  private static func document(_ programs: [ProgramDocument]) -> String {
    struct Document: Encodable {
      let programs: [ProgramDocument]
    }
    return String(
      decoding: rsock.json(Document(programs: programs), isPretty: true), as: UTF8.self) + "\n"
  }
}

/// `rsock reconnect`.
struct ReconnectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reconnect",
    abstract: "Have a client open all of its channels anew.",
    discussion: """
      Each channel carries datagrams until the one that replaces it is up.
      """)

  @OptionGroup var options: ControlOptions

  func run() throws {
    var call = try options.call()
    _ = try call.answer(to: .reconnect)
  }
}

/// `rsock stop`.
struct StopCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stop",
    abstract: "End what is running, and wait until it has ended.",
    discussion: """
      The same as SIGTERM: the other end is told, and all that was set up is taken down.
      """)

  @OptionGroup var options: ControlOptions

  func run() throws {
    var call = try options.call()
    _ = try call.answer(to: .stop)
    try call.awaitEnd()
  }
}
