// The program: which command, and how its end is told.

import ArgumentParser
import Driver
import Glibc

/// `rsock`.
@main
struct RSock: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rsock",
    abstract: "Carry an app's UDP datagrams through connections that look like TCP.",
    discussion: """
      On the server, for an app (such as a kcptun server) at UDP port 9999:
        rsock server -t 127.0.0.1:9999
      On the client, for an app (such as a kcptun client) that sends to port 30000:
        rsock client --taddr=SERVER -l 127.0.0.1:30000

      rsock needs no root, but three capabilities, given once:
        sudo setcap cap_net_raw,cap_net_admin,cap_net_bind_service=p /path/to/rsock
      """,
    version: "rsock 0.1.0",
    subcommands: [
      ServerCommand.self, ClientCommand.self, StatusCommand.self, ReconnectCommand.self,
      StopCommand.self, RulesCommand.self, KeygenCommand.self, ResolveCommand.self,
    ])

  static func main() {
    let code = runProcess()
    Glibc.exit(code)
  }

  /// All that the process does. What is alive when exit(3) is called is never released, and counts as
  /// leaked: so that is another function.
  private static func runProcess() -> Int32 {
    // First of all: from here on neither ps nor a core file shows a key.
    hideMemory()
    let arguments = Arguments.takeFromProcess()
    EnvironmentKey.takeFromProcess()
    reserveStandardDescriptors()
    return run(arguments)
  }

  /// Runs the command that the arguments name and gives the exit code.
  private static func run(_ arguments: Arguments) -> Int32 {
    // The parser repeats in its complaints what it does not understand, so it sees no secret until
    // it has none.
    do { _ = try parseAsRoot(arguments.masked) } catch { return end(error, arguments.masked) }
    do {
      var command = try parseAsRoot(arguments.words)
      try command.run()
      return EXIT_SUCCESS
    } catch let error as StartError {
      error.print()
      return error.exitCode
    } catch {
      return end(error, arguments.masked)
    }
  }

  /// Tells what the parser threw: help and version on standard output, else one sentence.
  private static func end(_ error: any Error, _ arguments: [String]) -> Int32 {
    // What a command ends with; it has said all that there is to say.
    if let code = error as? ExitCode { return code.rawValue }
    let code = exitCode(for: error).rawValue
    if code == EXIT_SUCCESS {
      print(fullMessage(for: error))
    } else {
      usageError(message(for: error), arguments).print()
    }
    return code
  }

  /// The parser's complaint as one sentence with a remedy.
  private static func usageError(_ complaint: String, _ arguments: [String]) -> StartError {
    let commands = configuration.subcommands.filter { $0.configuration.shouldDisplay }
      .compactMap { $0.configuration.commandName }
    guard let first = arguments.first, commands.contains(first) else {
      return StartError(
        .usage,
        "\"\(arguments.first ?? "")\" is no command: use \(commands.joined(separator: " or ")), "
          + "for example: rsock server -t 127.0.0.1:9999")
    }
    let line = complaint.split(separator: "\n").joined(separator: " ")
    let sentence = line.prefix(1).lowercased() + line.dropFirst()
    let stop = sentence.last.map { ".?".contains($0) } ?? true
    return StartError(.usage, "\(sentence)\(stop ? "" : ".") See: rsock \(first) --help")
  }
}
