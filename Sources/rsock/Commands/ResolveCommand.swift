// rsock resolve: what a server or client starts for itself where --taddr has a name.

import ArgumentParser
import Driver

/// `rsock resolve`. It is not for users.
struct ResolveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resolve",
    abstract: "Look up names for the rsock that started this.", shouldDisplay: false)

  func run() throws { try resolveNames() }
}
