// A bad network that runs beside a test: the program LinkEmulator, asked by lines.

public import LinkModel

/// What an emulated link has done until now.
public struct LinkReport: Sendable {
  /// From the client to the server.
  public let up: Counters
  /// From the server to the client.
  public let down: Counters
  /// How late frames left, in words.
  public let lateness: String
}

/// The emulator between the two hosts of `withEmulatedLink`.
public final class EmulatedLink: Sendable {
  static let clientInterface = "client"
  static let serverInterface = "server"

  /// Its process.
  public let process: ChildProcess
  /// How much of its output is read, in bytes.
  private let read = Shared(0)

  init(in namespace: Namespace, seed: UInt64) throws {
    let command = [
      try Installation.tool("LinkEmulator"), Self.clientInterface, Self.serverInterface, "--seed",
      "\(seed)",
    ]
    process = try ChildProcess(namespace.commandLine(command), takesInput: true)
    try process.waitForText("ready\n")
    read.update { $0 = "ready\n".utf8.count }
  }

  /// Obeys a command, such as `rate 100mbit queue 500k`, `up loss 2%`, or `outage 2s`; LinkEmulator's
  /// `--help` has them all. Throws where it is none.
  public func set(_ command: String) throws { _ = try ask(command) }

  /// The counters.
  public func report() throws -> LinkReport {
    let lines = try ask("counters")
    func counters(_ name: String) throws -> Counters {
      guard let line = lines.first(where: { $0.hasPrefix(name + " ") }),
        let counters = Counters(parsing: line.dropFirst(name.count))
      else { throw Failure("no counters in: \(lines)") }
      return counters
    }
    return LinkReport(
      up: try counters("up"), down: try counters("down"),
      lateness: lines.first { $0.hasPrefix("late ") } ?? "")
  }

  /// What is known of each four-tuple, a line each: protocol, client, server, and for each way the bytes
  /// carried and the packets dropped.
  public func flows() throws -> [String] { try ask("flows") }

  /// The lines before `ok`.
  private func ask(_ command: String) throws -> [String] {
    try read.update { read in
      try process.write(command + "\n")
      var answer = ""
      try wait(for: "an answer to \(command)") {
        answer = String(decoding: process.output.utf8.dropFirst(read), as: UTF8.self)
        if answer.hasSuffix("ok\n") || answer.hasPrefix("error: ") && answer.hasSuffix("\n") {
          return true
        }
        guard process.isRunning else { throw Failure("the link ended: \(process.errors)") }
        return false
      }
      read += answer.utf8.count
      guard !answer.hasPrefix("error: ") else { throw Failure(answer) }
      return answer.split(separator: "\n").dropLast().map(String.init)
    }
  }
}
