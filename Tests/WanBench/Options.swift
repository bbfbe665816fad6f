// The command line of ci/bench wan.

import NamespaceSupport

/// What is wrong with the command line.
struct UsageError: Error, CustomStringConvertible {
  let description: String
}

/// What to measure.
struct Options {
  static let help = """
    Usage: ci/bench wan [--short] [--plain] [--carriers=LIST] [--networks=LIST]

      --short            10 s a run instead of 30, and one round
      --plain            without a key
      --carriers=LIST    of tcp, udp, all, icmp (default: the first three; what rsock refuses is left out)
      --networks=LIST    of \(Network.all.map(\.name).joined(separator: ", ")) (default: all)

    Ratios are to kcptun alone on the network clean, and missing without it. Files go to .bench/.
    """

  let directory = ".bench"
  private(set) var isShort = false
  private(set) var protection = Protection.sealed
  private(set) var carriers = [Carrier.tcp, .udp, .all]
  private(set) var networks = Network.all

  /// Nil where help is asked for.
  init?(_ arguments: [String]) throws {
    for argument in arguments {
      switch argument {
      case "--help": return nil
      case "--short": isShort = true
      case "--plain": protection = .plain
      default: try readList(argument)
      }
    }
  }

  private mutating func readList(_ argument: String) throws {
    let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
    let names = parts.count == 2 ? parts[1].split(separator: ",").map(String.init) : []
    switch parts.first {
    case "--carriers": carriers = try Self.choose(names, argument, Carrier.allCases, \.rawValue)
    case "--networks": networks = try Self.choose(names, argument, Network.all, \.name)
    default: throw UsageError(description: "unknown option \(argument); see ci/bench wan --help")
    }
  }

  private static func choose<Choice>(
    _ names: [String], _ argument: String, _ choices: [Choice], _ name: KeyPath<Choice, String>
  ) throws -> [Choice] {
    let chosen = choices.filter { names.contains($0[keyPath: name]) }
    guard !names.isEmpty, chosen.count == Set(names).count else {
      let known = choices.map { $0[keyPath: name] }.joined(separator: ", ")
      throw UsageError(description: "\(argument): the list is of \(known)")
    }
    return chosen
  }
}
